"""One run at a time writes to a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from missrec_pl.errors import ConfigError
from missrec_pl.system.launched import is_first_process

LOCK_NAME = ".running.lock"


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the lock goes with the process, however it ends.

    The first process of a run holds it for its other processes, too.

    Raises:
        ConfigError: another run writes there now.
    """
    was_there = folder.exists()
    lock = _lock(folder) if is_first_process() else None
    try:
        yield
    finally:
        if lock is not None:
            if [file.name for file in folder.iterdir()] == [
                LOCK_NAME
            ]:  # a mistake, found before anything was written
                (folder / LOCK_NAME).unlink()
            lock.release()
            if not was_there and not any(folder.iterdir()):
                folder.rmdir()


def refuse_running_folder(folder: Path) -> None:
    """Refuse a folder that another run writes to now.

    Raises:
        ConfigError: one does.
    """
    if (folder / LOCK_NAME).exists():
        with one_writer(folder):
            return


def _lock(folder: Path) -> FileLock | None:
    lock = FileLock(folder / LOCK_NAME, blocking=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ConfigError(
            f"{folder}: another run writes there now; wait for it, or choose another folder (hydra.run.dir)."
        ) from None
    except (OSError, NotImplementedError):  # no file can be made or locked there: what is written first says so
        return None
    return lock
