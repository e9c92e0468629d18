"""Raw files as lines with column names, and as SQL relations: delimited, JSON and Parquet."""

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.database import quoted
from missrec_pl.system.documents import checked_lines
from missrec_pl.system.lookup import near_names


@dataclass(frozen=True)
class Source:
    """What a reader makes of a raw data set.

    Attributes:
        interactions: ``SELECT`` with the columns ``user``, ``item`` (text), ``time_ms`` (whole milliseconds since
            1970), ``rating`` (number, NULL where there is none) and ``time_text`` (where ``time_ms`` is NULL).
        items: ``SELECT`` with ``item``, ``fields`` (a JSON list: title, categories, brand, each a text or a
            list) and ``image_url``; None if nothing is known of the items.
        attributes: which of the fields lists attributes, such as categories; None: none does.
    """

    interactions: str
    items: str | None
    attributes: int | None = None


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
    return not {".json", ".jsonl", ".ndjson"}.isdisjoint(path.suffixes[-2:])


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
    """SQL for whole milliseconds since 1970, from SQL of a text, number or moment; NULL if it is none of them.

    Plain numbers count ``unit``, which is ``s`` or ``ms``. A moment without a time zone is one of UTC.
    """
    factor = {"s": 1000, "ms": 1}[unit]
    # TRY_CAST gives NULL for what does not fit (nanoseconds taken for seconds, NaN). CAST would end the query.
    whole = f"TRY_CAST(CAST(TRY_CAST({text} AS BIGINT) AS HUGEINT) * {factor} AS BIGINT)"
    number = f"TRY_CAST(floor(TRY_CAST({text} AS DOUBLE) * {factor}) AS BIGINT)"
    # Whole numbers by BIGINT, for a double would round large ones. Others by floor, for a CAST rounds up.
    exact = f"CASE WHEN CAST({text} AS VARCHAR) SIMILAR TO '[+-]?[0-9]+' THEN {whole} ELSE {number} END"
    return f"coalesce({exact}, epoch_ms(TRY_CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)))"


def selected(relation: str, *, user: str, item: str, time: str, unit: str, rating: str = "NULL") -> str:
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


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file with their ends, unpacked if its name ends in ``.gz``.

    Raises:
        DataError: It is cut off, damaged or no UTF-8; names the line.
    """
    number, is_packed = 0, path.suffix == ".gz"
    try:
        # newline="": line ends inside quoted cells stay as they are
        with (gzip.open if is_packed else open)(path, "rt", encoding="utf-8-sig", newline="") as stream:
            for line in checked_lines(stream, str(path)):
                yield line
                number += 1
    except UnicodeDecodeError as error:
        number += 1 + error.object[: error.start].count(b"\n")  # lines of the block that could not be decoded
        byte = f"byte 0x{error.object[error.start]:02x}, {error.reason}"
        raise DataError(f"{path}:{number}: not UTF-8 ({byte}); convert the file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read beyond line {number} ({error}); get the file again") from error


def header_of(path: Path, separator: str = ",") -> list[str]:
    """The cells of the first line of a delimited file.

    Raises:
        DataError: The file is empty or no UTF-8.
    """
    try:
        cells = next(csv.reader(lines_of(path), delimiter=separator), [])
    except csv.Error as error:
        raise DataError(f"{path}:1: no line of column names ({error})") from error
    if not cells:
        raise DataError(f"{path} is empty; expected a line of column names")
    return [cell.strip() for cell in cells]


def column_names(path: Path, separator: str = ",") -> list[str]:
    """The names in the first line of a delimited file; raises as ``header_of`` and ``distinct_names`` do."""
    return distinct_names(header_of(path, separator), f"{path}:1")


def distinct_names(names: Sequence[str], where: str) -> list[str]:
    """Names by which SQL can tell columns apart; one without a name, such as pandas' index, gets one.

    Raises:
        DataError: A name occurs twice.
    """
    given = [name or f"(column {number})" for number, name in enumerate(names, start=1)]
    repeated = [name for name, times in Counter(map(str.lower, given)).items() if times > 1]
    if repeated:
        raise DataError(
            f"{where}: several columns are called {repeated[0]!r}, whatever their capitals; rename them"
        )
    return given
