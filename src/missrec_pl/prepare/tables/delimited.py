"""Delimited files as relations: straight by DuckDB where every line is one row, else row by row to Parquet."""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import SPACES, FileChoice, separator_name
from missrec_pl.prepare.tables.lines import Look, numbered_lines
from missrec_pl.prepare.tables.packing import unpacked
from missrec_pl.prepare.tables.records import Records
from missrec_pl.prepare.tables.sniffing import Dialect, squeezed
from missrec_pl.prepare.tables.sql import quoted
from missrec_pl.prepare.tables.table import distinct_names

_BATCH = 1 << 16  # rows
_BLOCK = 1 << 22  # bytes


def names_of(path: Path, dialect: Dialect, wanted: Sequence[str]) -> list[str]:
    """The columns that the first line names.

    Raises:
        DataError: There is one column where several are wanted, or two have one name.
    """
    if len(dialect.cells) == 1 and len(wanted) > 1:
        raise DataError(
            f"{path}:{dialect.first}: one column, {dialect.cells[0][:60]!r}: no comma, tab, semicolon, pipe or "
            "space separates cells; name the separator with --separator"
        )
    return distinct_names(dialect.cells, f"{path}:{dialect.first}")


def straight(
    path: Path, found: Look, dialect: Dialect, names: Sequence[str], header: bool
) -> tuple[str, int] | None:
    """The relation of a file that DuckDB reads as it is, and its rows; None: some line is no row of its own."""
    has_marks = bool(dialect.quote) and (found.quotes or dialect.quote != '"')
    if not found.is_clean or has_marks or found.packing not in ("", "gzip") or dialect.first > 1 or len(names) < 2:
        return None
    if dialect.separator == SPACES:
        return None
    separator, rows = dialect.separator.encode(), 0
    first: bytes | None = None
    with unpacked(path) as (stream, _):
        while block := stream.read(_BLOCK):
            block += stream.readline()
            lines = block.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").split(b"\n")
            first = lines[0] if first is None else first
            rows += len(lines)
            is_repeated = header and lines.count(first) > (rows == len(lines))
            if is_repeated or {line.count(separator) for line in lines} != {len(names) - 1}:
                return None
    types = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in names)
    relation = (
        f"read_csv({quoted(path)}, auto_detect=false, header={str(header).lower()}, quote='', escape='', "
        f"delim={quoted(dialect.separator)}, columns={{{types}}}, compression='{found.packing or 'none'}', "
        "max_line_size=16777216)"
    )
    return relation, rows - header


def rewritten(
    path: Path, found: Look, dialect: Dialect, names: Sequence[str], header: bool, choice: FileChoice, out: Path
) -> Records:
    """Reads a file row by row into the Parquet file ``out``; returns what was met on the way.

    Raises:
        DataError: As :class:`Records`.
    """
    known = dialect.cells if header else None
    lines = (numbered for numbered in numbered_lines(path, found) if numbered[0] >= dialect.first)
    separator = dialect.separator
    if separator == SPACES:
        separator, lines = " ", ((number, squeezed(line, dialect.quote)) for number, line in lines)
    records = Records(path, separator, dialect.quote, len(names), known, choice.quote is not None)
    rows = records.read(lines)
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(out, schema) as writer:
        while batch := list(itertools.islice(rows, _BATCH)):
            columns = [pa.array(cells, pa.string()) for cells in zip(*batch, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
    return records


def told_of(dialect: Dialect, found: Look, records: Records | None) -> str:
    """How a file was read, in a few words."""
    told = [separator_name(dialect.separator), str(found)]
    if records is not None:
        told.insert(1, f"quotation mark {dialect.quote}" if dialect.quote else "no quotation marks")
        told += [f"{records.blank:,} blank lines"] if records.blank else []
        told += [f"line of names repeated {records.repeated:,} times"] if records.repeated else []
    return ", ".join(told)
