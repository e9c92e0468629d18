"""Delimited, JSON and Parquet files as SQL relations."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from missrec_pl.data.lookup import near_names
from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.database import column, quoted


@dataclass(frozen=True)
class Source:
    """What a reader makes of a raw data set.

    Attributes:
        interactions: ``SELECT`` with the columns ``user``, ``item`` (text), ``time_ms`` (whole milliseconds since
            1970) and ``rating`` (number, NULL where there is none).
        items: ``SELECT`` with ``item``, ``fields`` (a JSON list: title, categories, brand, each a text or a
            list) and ``image_url``; None if nothing is known of the items.
    """

    interactions: str
    items: str | None


def require_file(path: Path, what: str) -> Path:
    """The file, if it is one.

    Raises:
        DataError: It is missing or a folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected {what}")
    return path


def is_json(path: Path) -> bool:
    """Whether a file's name says that it holds one JSON object a line."""
    return {".json", ".jsonl", ".ndjson"} & set(path.suffixes[-2:]) != set()


def json_lines(path: Path, columns: Iterable[str]) -> str:
    """A file of one JSON object a line as a relation of JSON columns; absent keys are NULL."""
    types = ", ".join(f"{quoted(name)}: 'JSON'" for name in columns)
    return (
        f"read_json({quoted(path)}, format='newline_delimited', columns={{{types}}}, maximum_object_size=67108864)"
    )


def delimited(path: Path, names: Sequence[str], *, header: bool, separator: str = ",", quotes: bool = True) -> str:
    """A delimited file as a relation of text columns."""
    types = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    quoting = "quote='\"', escape='\"'" if quotes else "quote='', escape=''"
    return (
        f"read_csv({quoted(path)}, auto_detect=false, header={str(header).lower()}, delim={quoted(separator)}, "
        f"{quoting}, columns={{{types}}}, max_line_size=16777216)"
    )


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """A UTF-8 text file, unpacked if its name ends in ``.gz``."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as packed:
            yield packed
    else:
        with path.open(encoding="utf-8-sig", newline="") as plain:
            yield plain


def header_of(path: Path, separator: str = ",") -> list[str]:
    """The column names in the first line of a delimited file.

    Raises:
        DataError: The file is empty or no UTF-8.
    """
    try:
        with opened_text(path) as stream:
            names = next(csv.reader(stream, delimiter=separator), [])
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not a readable UTF-8 text file ({error})") from error
    if not names:
        raise DataError(f"{path} is empty; expected a line of column names")
    return [name.strip() for name in names]


def pick(names: Sequence[str], choices: Sequence[str], path: Path, flag: str | None = None) -> str:
    """The first of ``choices`` that is a column.

    Raises:
        DataError: None is; names the columns that are there, and the flag that chooses another.
    """
    found = next((choice for choice in choices if choice in names), None)
    if found is None:
        advice = f"; choose one with {flag}" if flag else ""
        raise DataError(f"{path}: no column {choices[0]!r}; {near_names(choices[0], list(names))}{advice}")
    return found


def milliseconds(text: str, unit: str) -> str:
    """SQL that turns a text, number or moment into whole milliseconds since 1970; NULL if it is none.

    Args:
        text: SQL of the value.
        unit: ``s`` or ``ms``, what plain numbers count.
    """
    factor = {"s": 1000, "ms": 1}[unit]
    whole = f"TRY_CAST({text} AS BIGINT) * {factor}"
    number = f"CAST(floor(TRY_CAST({text} AS DOUBLE) * {factor}) AS BIGINT)"
    # BIGINT first: a double would round the milliseconds of large numbers. A CAST of 'x.5' to BIGINT rounds up.
    exact = f"CASE WHEN CAST({text} AS VARCHAR) SIMILAR TO '[+-]?[0-9]+' THEN {whole} ELSE {number} END"
    return f"coalesce({exact}, epoch_ms(TRY_CAST({text} AS TIMESTAMP)))"


def selected(relation: str, user: str, item: str, time_ms: str, rating: str = "NULL") -> str:
    """The ``SELECT`` of interactions, from SQL of its columns."""
    return (
        f"SELECT nullif(trim(CAST({user} AS VARCHAR)), '') AS \"user\", "
        f"nullif(trim(CAST({item} AS VARCHAR)), '') AS item, {time_ms} AS time_ms, "
        f"TRY_CAST({rating} AS DOUBLE) AS rating FROM {relation}"
    )


def described(relation: str, item: str, fields: Sequence[str], image_url: str = "NULL") -> str:
    """The ``SELECT`` of items, from SQL of its columns."""
    parts = ", ".join(f"coalesce(to_json({field}), 'null'::JSON)" for field in fields)
    return (
        f"SELECT trim(CAST({item} AS VARCHAR)) AS item, CAST(json_array({parts}) AS VARCHAR) AS fields, "
        f"CAST({image_url} AS VARCHAR) AS image_url FROM {relation}"
    )


def relation_of(path: Path) -> tuple[str, list[str]]:
    """Any CSV, TSV, JSON lines or Parquet file as a relation, and its column names.

    Raises:
        DataError: Missing, or of another kind.
    """
    require_file(path, "a .csv, .tsv, .jsonl or .parquet file (.gz as well)")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            return f"read_parquet({quoted(path)})", list(pq.read_schema(path).names)
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: not a readable parquet file ({error})") from error
    if is_json(path):
        raise DataError(f"{path}: JSON lines have no list of columns; convert it to CSV or Parquet")
    separator = "\t" if ".tsv" in path.suffixes[-2:] else ","
    names = header_of(path, separator)
    return delimited(path, names, header=True, separator=separator), names


def columns_sql(names: Sequence[str]) -> list[str]:
    """Names as SQL columns."""
    return [column(name) for name in names]
