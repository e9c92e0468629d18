"""A raw table as SQL sees it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.sql import column

_EXACT = {"FLOAT": 1 << 24, "DOUBLE": 1 << 53}  # below this every whole number of the type is there


@dataclass(frozen=True)
class Table:
    """A raw table.

    Attributes:
        path: The file or folder.
        relation: SQL that stands behind ``FROM``.
        types: DuckDB's type of every column, by name; cells of text files are ``VARCHAR``, of objects ``JSON``.
        rows: How many rows the relation has to give; None: not known.
    """

    path: Path
    relation: str
    types: Mapping[str, str]
    rows: int | None

    @cached_property
    def names(self) -> list[str]:
        """The columns."""
        return list(self.types)

    def text(self, name: str) -> str:
        """SQL of a column's cells as text: whole numbers without ``.0``, absent ones NULL."""
        cell, kind = column(name), self.types[name]
        if kind == "JSON":
            number = _whole(f"CAST({cell} AS DOUBLE)")
            has_point = f"json_type({cell}) = 'DOUBLE' AND NOT regexp_full_match({cell}->>'$', '-?[0-9]+')"
            return f"CASE WHEN {has_point} THEN {number} ELSE {cell}->>'$' END"
        is_fraction = kind in _EXACT or kind.startswith("DECIMAL")
        return _whole(cell) if is_fraction else f"CAST({cell} AS VARCHAR)"

    def id_text(self, name: str) -> str:
        """SQL of a column's cells as ids: as :meth:`text`, but numbers that have lost digits as ``1.2346e+12``.

        Raises:
            DataError: The column holds lists or objects.
        """
        cell, kind = column(name), self.types[name]
        if kind.startswith(("STRUCT", "MAP", "UNION")) or kind.endswith("]"):
            raise DataError(
                f"{self.path}: column {name!r} holds {kind[:60]}, a list or an object in each cell, and no ids; "
                "write the id as a column of its own"
            )
        text = self.text(name)
        if kind not in _EXACT:
            return text
        is_rounded = f"abs({cell}) >= {_EXACT[kind]} AND NOT isnan({cell})"
        return f"CASE WHEN {is_rounded} THEN format('{{:e}}', {cell}) ELSE {text} END"


def _whole(cell: str) -> str:
    return (
        f"CASE WHEN {cell} = floor({cell}) AND abs({cell}) < 1e18 THEN CAST(CAST({cell} AS HUGEINT) AS VARCHAR) "
        f"WHEN NOT isnan({cell}) THEN CAST({cell} AS VARCHAR) END"
    )


def parts_of(folder: Path) -> list[Path]:
    """The files of a folder and its folders that hold rows, in order; not those that engines write beside."""
    below = sorted(path for path in folder.rglob("*") if path.is_file())
    hidden = ("_", ".")
    return [
        path
        for path in below
        if not any(part.startswith(hidden) for part in path.relative_to(folder).parts) and path.stat().st_size
    ]


def require_file(path: Path, what: str) -> Path:
    """The file, if it is one.

    Raises:
        DataError: It is missing or a folder.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; expected {what}")
    return path


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


def joined(tables: Sequence[Table], path: Path) -> Table:
    """Parts of one table, one below the other, by the names of their columns.

    Raises:
        DataError: A part has other columns.
    """
    first = tables[0]
    for table in tables[1:]:
        if set(table.names) != set(first.names):
            odd = sorted(set(table.names) ^ set(first.names))
            raise DataError(
                f"{table.path}: other columns than {first.path} ({', '.join(odd[:5])}); are they of one table?"
            )
    columns = ", ".join(column(name) for name in first.names)
    parts = " UNION ALL ".join(f"SELECT {columns} FROM {table.relation}" for table in tables)
    rows = [table.rows for table in tables]
    total = None if None in rows else sum(number or 0 for number in rows)
    return Table(path, f"({parts})", first.types, total)
