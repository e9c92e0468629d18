"""Recommendations for a file of histories: in blocks, written whole or not at all, resumed after a kill."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.serving.blocks import BatchSummary, Blocks
from missrec_pl.serving.history_files import HistoryBlock, number_of_histories, read_histories
from missrec_pl.serving.recommender import ServedRecommender
from missrec_pl.system.files import whole_file

BLOCK = 8192
"""Histories that are read, ranked and written at a time."""
_JOB = "job.json"
_SECONDS = 5.0  # between two lines of progress


Elsewhere = Callable[[Blocks, Iterator[HistoryBlock]], Iterator[int]]


def recommend_file(
    served: ServedRecommender,
    path: Path,
    out: Path,
    *,
    k: int = 10,
    exclude_seen: bool = True,
    overwrite: bool = False,
    block: int = BLOCK,
    elsewhere: Elsewhere | None = None,
) -> BatchSummary:
    """Rank for every history of a file.

    Memory does not grow with the file: blocks are ranked one by one, and wait as files beside ``out`` for the
    last. The same command after a kill goes on behind the last whole block.

    Args:
        served: ranks.
        path: see :func:`missrec_pl.serving.history_files.read_histories`.
        out: parquet with the columns ``user``, ``item``, ``rank`` and ``score``.
        k: recommendations of each history.
        exclude_seen: see :meth:`ServedRecommender.recommend`.
        overwrite: whether a file that is there is replaced.
        block: histories of a block.
        elsewhere: ranks the blocks in other processes, and yields their numbers; None: they are ranked here.

    Raises:
        ConfigError: the file is there, or another process makes it.
        DataError: a history that is none.
    """
    if out.suffix != ".parquet":
        raise ConfigError(f"--out {out}: the recommendations are a .parquet file.")
    if out.exists() and not overwrite:
        raise ConfigError(f"{out} exists already; remove it, choose another name or pass --overwrite.")
    stat = path.stat() if path.is_file() else None
    job = {
        "bundle": served.about.fingerprint,
        "index": served.nominator is not None,
        "histories": None if stat is None else [stat.st_size, stat.st_mtime_ns],
        "k": k,
        "exclude_seen": exclude_seen,
        "block": block,
    }
    histories, numbers = read_histories(path, block), []
    summary, progress = BatchSummary(), _Progress(number_of_histories(path))
    with _parts_folder(out, job) as folder:
        blocks = Blocks(folder, k, exclude_seen, block)
        there = (int(file.stem) for file in folder.glob("[0-9]*.json"))
        before = {number for number in there if blocks.tally(number) is not None}
        for number in blocks.ranked(served, histories) if elsewhere is None else elsewhere(blocks, histories):
            found = blocks.tally(number)
            assert found is not None, "it was ranked just now"
            found.resumed = found.histories if number in before else 0
            summary.add(found)
            numbers.append(number)
            progress.say(summary)
        _join([blocks.part(number) for number in sorted(numbers)], out)
    shutil.rmtree(folder, ignore_errors=True)
    return summary


def _join(parts: list[Path], out: Path) -> None:
    """One file of all parts, a part at a time."""
    with whole_file(out, to_disk=True) as file:
        schema = pq.read_schema(parts[0]) if parts else _empty().schema
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for part in parts:
                table = pq.read_table(part)
                if table.schema != schema:
                    raise DataError("histories: some say whose they are (user), and some do not.")
                writer.write_table(table)


def _empty() -> pa.Table:
    kinds = {"user": pa.int64(), "item": pa.string(), "rank": pa.int32(), "score": pa.float32()}
    return pa.schema(kinds).empty_table()


@contextmanager
def _parts_folder(out: Path, job: Mapping[str, Any]) -> Iterator[Path]:
    """The folder of finished blocks, those of another job thrown away; nobody else writes there meanwhile."""
    folder = out.with_name(f".{out.name}.parts")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigError(f"{out}: another process makes it now; wait for it, or choose another name.") from None
    try:
        said = folder / _JOB
        if not said.is_file() or said.read_text(encoding="utf-8") != json.dumps(job):
            for file in folder.iterdir():
                if file.name != ".lock":
                    file.unlink()
            with whole_file(said) as part:
                part.write_text(json.dumps(job), encoding="utf-8")
        yield folder
    finally:
        is_begun = any(folder.glob("*.parquet"))
        lock.release()
        if not is_begun:  # a mistake in the first block: nothing to go on from
            shutil.rmtree(folder, ignore_errors=True)


class _Progress:
    """A line now and then on stderr."""

    def __init__(self, total: int | None) -> None:
        self._total, self._start, self._last = total, time.monotonic(), time.monotonic()

    def say(self, done: BatchSummary) -> None:
        """Say how far it is, if it is time."""
        now = time.monotonic()
        if now - self._last < _SECONDS:
            return
        self._last = now
        rate = (done.histories - done.resumed) / (now - self._start)
        of = f" of {self._total:,}" if self._total else ""
        print(f"recommend: {done.histories:,}{of} histories, {rate:,.0f}/s", file=sys.stderr, flush=True)
