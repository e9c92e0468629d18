"""Files of histories, read block by block: parquet, JSON lines, CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.errors import DataError
from missrec_pl.system.documents import checked_lines, parse_json

_T = TypeVar("_T")
COLUMNS = ("user", "history", "times", "at")
"""What a file may say of each history; ``history`` alone is needed."""


@dataclass(frozen=True)
class HistoryBlock:
    """Some consecutive histories.

    Attributes:
        users: what to call them; None where the file does not say it.
        histories: item ids, newest last.
        times: seconds of the items; None where the file does not say them.
        at: seconds of the requests; None where the file does not say them.
    """

    users: list[str] | None
    histories: list[list[str | int]]
    times: list[list[int]] | None
    at: list[int] | None


def read_histories(path: Path, size: int) -> Iterator[HistoryBlock]:
    """Yields the histories of a file, ``size`` at a time.

    Args:
        path: ``.parquet`` with the column ``history`` (lists) and, as they are there, ``user``, ``times`` and
            ``at``; ``.jsonl`` with objects of these names; ``.csv`` with a header of these names, lists separated
            by spaces.
        size: histories of a block.

    Raises:
        DataError: another file, or a row that is none; names it.
    """
    readers: dict[str, Callable[[Path, int], Iterator[HistoryBlock]]] = {
        ".parquet": _parquet,
        ".jsonl": _json_lines,
        ".csv": _csv,
    }
    if path.suffix not in readers:
        raise DataError(f"{path}: histories come as {', '.join(readers)}.")
    if not path.is_file():
        raise DataError(f"{path}: there is no such file.")
    return readers[path.suffix](path, size)


def number_of_histories(path: Path) -> int | None:
    """How many a file holds, where that is known without reading it."""
    if path.suffix != ".parquet":
        return None
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _parquet(path: Path, size: int) -> Iterator[HistoryBlock]:
    try:
        with pq.ParquetFile(path) as parquet:
            known = parquet.schema_arrow.names
            if "history" not in known:
                raise DataError(f"{path}: it lacks the column history; it has {', '.join(known)[:200]}.")
            for batch in parquet.iter_batches(batch_size=size, columns=[c for c in COLUMNS if c in known]):
                columns = {name: batch[name].to_pylist() for name in batch.schema.names}
                yield _block(
                    [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], path
                )
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _json_lines(path: Path, size: int) -> Iterator[HistoryBlock]:
    with path.open(encoding="utf-8") as stream:
        lines = enumerate(checked_lines(stream, str(path)), 1)
        rows = (
            _row(parse_json(line, f"{path}:{number}", "mend the line"), f"{path}:{number}")
            for number, line in lines
            if line.strip()
        )
        yield from (_block(some, path) for some in _readable(rows, size, path))


def _csv(path: Path, size: int) -> Iterator[HistoryBlock]:
    with path.open(encoding="utf-8", newline="") as stream:
        table = csv.DictReader(checked_lines(stream, str(path)))
        try:
            names = table.fieldnames or []
        except (UnicodeDecodeError, csv.Error) as error:
            raise _unreadable(path, error) from error
        if "history" not in names:
            raise DataError(f"{path}: its first line has to name the columns, history among them.")
        rows = (_split(row, f"{path}:{table.line_num}") for row in table)
        yield from (_block(some, path) for some in _readable(rows, size, path))


def _readable(rows: Iterable[_T], size: int, path: Path) -> Iterator[list[_T]]:
    left = iter(rows)
    try:
        while some := list(islice(left, size)):
            yield some
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise _unreadable(path, error) from error


def _row(content: Any, where: str) -> dict[str, Any]:
    if isinstance(content, list):
        return {"history": content}
    if not isinstance(content, dict) or "history" not in content:
        raise DataError(f"{where}: no object with a history.")
    return content


def _split(row: dict[str, Any], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {"history": (row["history"] or "").split()}
    if row.get("user") is not None:
        found["user"] = row["user"]
    try:
        if row.get("times"):
            found["times"] = [int(one) for one in row["times"].split()]
        if row.get("at"):
            found["at"] = int(row["at"])
    except ValueError as error:
        raise DataError(f"{where}: times are whole numbers ({error}).") from error
    return found


def _block(rows: list[dict[str, Any]], path: Path) -> HistoryBlock:
    for row in rows:
        history = row["history"]
        if not isinstance(history, list) or not all(isinstance(one, str | int) for one in history):
            raise DataError(f"{path}: the history {str(history)[:80]!a} is no list of item ids.")
    users = [str(row.get("user")) for row in rows] if all("user" in row for row in rows) else None
    has_times = all(isinstance(row.get("times"), list) for row in rows)
    at = [row["at"] for row in rows] if all(isinstance(row.get("at"), int) for row in rows) else None
    return HistoryBlock(
        users, [row["history"] for row in rows], [row["times"] for row in rows] if has_times else None, at
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]}).")
