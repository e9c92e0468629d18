"""Names and values in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def quoted(value: Path | str) -> str:
    """A value as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"


def column(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def numbers(connection: DuckDBPyConnection, what: str) -> list[int]:
    """The whole numbers in the one row that ``SELECT <what>`` gives."""
    (row,) = connection.execute(f"SELECT {what}").fetchall()  # all: an open result would block what comes next
    return list(map(int, row))
