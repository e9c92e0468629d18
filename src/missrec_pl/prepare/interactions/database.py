"""The DuckDB data base that a conversion works in, and how its complaints are told."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from missrec_pl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B")


@contextmanager
def working_database(beside: Path, *, memory: str, threads: int) -> Iterator[DuckDBPyConnection]:
    """A data base in a temporary folder, which is gone when the block ends.

    Args:
        beside: The folder to be made; the data base lies next to it, where there has to be room anyway.
        memory: Most that DuckDB keeps in memory, such as ``3GB``; more goes to disk.
        threads: Threads of the queries.

    Raises:
        ConfigError: DuckDB is not installed, a setting is none, or memory and disk do not suffice.
        DataError: A query failed on what the files hold.
    """
    if not _MEMORY.fullmatch(memory.strip()):
        raise ConfigError(f"--memory {memory}: give a number and a unit, such as 3GB or 800MB")
    if threads < 1:
        raise ConfigError(f"--threads {threads}: give 1 or more")
    try:
        import duckdb
    except ImportError as error:
        raise ConfigError('interactions need DuckDB: pip install "missrec-pl[prepare]"') from error
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.work-", dir=beside.parent))
    settings: dict[str, Any] = {
        "memory_limit": memory,
        "threads": threads,
        "temp_directory": str(folder / "spilled"),
        "preserve_insertion_order": False,
    }
    try:
        connection = duckdb.connect(str(folder / "work.duckdb"), config=settings)
        try:
            connection.execute("SET TimeZone = 'UTC'")  # not the machine's: casts of moments follow it
            yield connection
        finally:
            connection.close()
    except duckdb.OutOfMemoryException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--memory {memory}: raise it, or free disk beside {beside} ({reason})") from error
    except duckdb.Error as error:
        raise DataError(_one_line(str(error))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def working_folder(connection: DuckDBPyConnection) -> Path:
    """The temporary folder of a working data base."""
    row = connection.execute("SELECT current_setting('temp_directory')").fetchone()
    return Path(str(row[0] if row else "")).parent


def quoted(value: Path | str) -> str:
    """A value as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"


def column(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def count(connection: DuckDBPyConnection, what: str) -> int:
    """The single number that ``SELECT <what>`` gives."""
    row = connection.execute(f"SELECT {what}").fetchone()
    return int(row[0]) if row else 0


def _one_line(message: str) -> str:
    """DuckDB's complaint without its advice on DuckDB's own options."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    told = lines[:3] if "CSV Error" in lines[0] else lines[:1]
    file = re.search(r"^\s*file\s*=\s*(.+)$", message, re.MULTILINE)
    where = f"{file[1].strip()}: " if file else ""
    return f"the source cannot be read: {where}{'; '.join(told)}"
