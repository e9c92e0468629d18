"""Recommendations for a file of histories: in blocks, written whole or not at all, resumed after a kill."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.serving.history_files import HistoryBlock, number_of_histories, read_histories
from missrec_pl.serving.recommender import ServedRecommender
from missrec_pl.serving.request import Request
from missrec_pl.system.files import whole_file

BLOCK = 8192
"""Histories that are read, ranked and written at a time."""
_JOB = "job.json"
_SECONDS = 5.0  # between two lines of progress


@dataclass
class BatchSummary:
    """What was done.

    Attributes:
        histories: how many there were.
        resumed: how many of them an earlier attempt had ranked.
        without_items: how many held no known item.
        unknown: ids that were skipped.
    """

    histories: int = 0
    resumed: int = 0
    without_items: int = 0
    unknown: int = 0

    def line(self) -> str:
        """In words."""
        return (
            f"{self.histories:,} histories ({self.resumed:,} from an earlier attempt), {self.unknown:,} unknown "
            f"ids skipped, {self.without_items:,} histories without a known item"
        )


def recommend_file(
    served: ServedRecommender,
    path: Path,
    out: Path,
    *,
    k: int = 10,
    exclude_seen: bool = True,
    overwrite: bool = False,
    block: int = BLOCK,
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
    summary = BatchSummary()
    blocks = read_histories(path, block)
    with _parts_folder(out, job) as folder:
        progress = _Progress(number_of_histories(path))
        parts = []
        for number, some in enumerate(blocks):
            part = folder / f"{number:08}.parquet"
            tally = part.with_suffix(".json")
            if tally.is_file() and part.is_file():
                found = BatchSummary(**json.loads(tally.read_text(encoding="utf-8")))
                summary.resumed += found.histories
            else:
                found = _rank(served, some, summary.histories, part, k, exclude_seen)
                with whole_file(tally) as file:
                    file.write_text(json.dumps(asdict(found)), encoding="utf-8")
            for name in ("histories", "without_items", "unknown"):
                setattr(summary, name, getattr(summary, name) + getattr(found, name))
            parts.append(part)
            progress.say(summary)
        _join(parts, out)
    shutil.rmtree(folder, ignore_errors=True)
    return summary


def _rank(
    served: ServedRecommender, some: HistoryBlock, first: int, part: Path, k: int, exclude_seen: bool
) -> BatchSummary:
    answer = served.answer(Request(some.histories, k, exclude_seen, times=some.times, at=some.at))
    count = len(some.histories)
    users = pa.array(np.arange(first, first + count)) if some.users is None else pa.array(some.users)
    with whole_file(part) as file:
        pq.write_table(answer.table(users=users).replace_schema_metadata(), file, compression="zstd")
    skipped = [len(ids) for ids in answer.unknown]
    lost = sum(len(history) == lost for history, lost in zip(some.histories, skipped, strict=True))
    return BatchSummary(count, 0, lost, sum(skipped))


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
