"""Delimited, JSON and Parquet files as SQL relations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.database import column, quoted
from missrec_pl.prepare.interactions.text_files import column_names, distinct_names
from missrec_pl.system.lookup import near_names


@dataclass(frozen=True)
class Source:
    """What a reader makes of a raw data set.

    Attributes:
        interactions: ``SELECT`` with the columns ``user``, ``item`` (text), ``time_ms`` (whole milliseconds since
            1970), ``rating`` (number, NULL where there is none) and ``time_text`` (where ``time_ms`` is NULL).
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

    A moment without a time zone is one of UTC, the zone of the working data base, on every machine.

    Args:
        text: SQL of the value.
        unit: ``s`` or ``ms``, what plain numbers count.
    """
    factor = {"s": 1000, "ms": 1}[unit]
    # What does not fit (nanoseconds taken for seconds, NaN) is no time: arithmetic that fails would end the query.
    whole = f"TRY_CAST(CAST(TRY_CAST({text} AS BIGINT) AS HUGEINT) * {factor} AS BIGINT)"
    number = f"TRY_CAST(floor(TRY_CAST({text} AS DOUBLE) * {factor}) AS BIGINT)"
    # BIGINT first: a double would round the milliseconds of large numbers. A CAST of 'x.5' to BIGINT rounds up.
    exact = f"CASE WHEN CAST({text} AS VARCHAR) SIMILAR TO '[+-]?[0-9]+' THEN {whole} ELSE {number} END"
    return f"coalesce({exact}, epoch_ms(TRY_CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)))"


def selected(relation: str, user: str, item: str, time: str, unit: str, rating: str = "NULL") -> str:
    """The ``SELECT`` of interactions, from SQL of its columns; ``unit`` is ``s`` or ``ms``, of plain numbers."""
    time_ms = milliseconds(time, unit)
    return (
        f"SELECT nullif(trim(CAST({user} AS VARCHAR)), '') AS \"user\", "
        f"nullif(trim(CAST({item} AS VARCHAR)), '') AS item, {time_ms} AS time_ms, "
        f"TRY_CAST({rating} AS DOUBLE) AS rating, "
        f"CASE WHEN {time_ms} IS NULL THEN CAST({time} AS VARCHAR) END AS time_text FROM {relation}"
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
        DataError: Missing or of another kind, or two columns have one name.
    """
    require_file(path, "a .csv, .tsv, .jsonl or .parquet file (.gz as well)")
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            return f"read_parquet({quoted(path)})", distinct_names(pq.read_schema(path).names, str(path))
        except (ValueError, OSError) as error:
            raise DataError(f"{path}: not a readable parquet file ({error})") from error
    if is_json(path):
        raise DataError(f"{path}: JSON lines have no list of columns; convert it to CSV or Parquet")
    separator = "\t" if ".tsv" in path.suffixes[-2:] else ","
    names = column_names(path, separator)
    return delimited(path, names, header=True, separator=separator), names


def columns_sql(names: Sequence[str]) -> list[str]:
    """Names as SQL columns."""
    return [column(name) for name in names]
