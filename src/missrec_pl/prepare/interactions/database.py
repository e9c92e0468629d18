"""The DuckDB database that a conversion works in, with its errors in one line."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from missrec_pl.data.domain.replacing import remove_leftovers
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.tables.sql import one_line

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOCK = "lock"
_MEMORY = re.compile(r"\d+(\.\d+)?\s*[KMGT]i?B")


@contextmanager
def working_database(beside: Path, *, memory: str, threads: int) -> Iterator[tuple[DuckDBPyConnection, Path]]:
    """A database and its temporary folder, both removed when the block ends.

    It lies beside the folder to be made, where there has to be room anyway. Beyond ``memory`` (such as ``3GB``)
    DuckDB goes to disk.

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
    _remove_leftovers(beside)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.work-", dir=beside.parent))
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    settings: dict[str, Any] = {"memory_limit": memory, "threads": threads, "preserve_insertion_order": False}
    settings["temp_directory"] = str(folder / "spilled")
    try:
        with duckdb.connect(str(folder / "work.duckdb"), config=settings) as connection:
            connection.execute("SET TimeZone = 'UTC'")  # not the machine's: casts of moments follow it
            yield connection, folder
    except duckdb.OutOfMemoryException as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"--memory {memory}: raise it, or free disk beside {beside} ({reason})") from error
    except duckdb.Error as error:
        raise DataError(f"the source cannot be read: {one_line(error)}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _remove_leftovers(beside: Path) -> None:
    """Removes what killed processes left beside a folder; a living one holds the lock of its own."""
    found = list(beside.parent.glob(f".{escape(beside.name)}.work-*/{_LOCK}"))
    living = 0
    for path in found:
        try:
            with FileLock(path, blocking=False):
                shutil.rmtree(path.parent, ignore_errors=True)
        except Timeout:
            living += 1
    if found and not living:
        remove_leftovers(beside)
