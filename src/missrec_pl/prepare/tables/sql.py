"""Names and values in SQL."""

from __future__ import annotations

import re
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


def one_line(error: Exception) -> str:
    """DuckDB's message without its advice on DuckDB's own options."""
    message = str(error)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = lines[:3] if "CSV Error" in lines[0] else lines[:1]
    file = re.search(r"^\s*file\s*=\s*(.+)$", message, re.MULTILINE)
    where = f"{file[1].strip()}: " if file else ""
    return where + "; ".join(told)
