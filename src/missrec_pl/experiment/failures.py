"""What ends a run that was going well: told in one line, with what was saved and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from missrec_pl.checkpoints.files import LAST
from missrec_pl.errors import DataError, MissrecError, RunError, StoppedError
from missrec_pl.system.trouble import mistaken_for_damage, trouble_of

_MEMORY = ("out of memory", "can't allocate memory", "Cannot allocate memory")


@contextmanager
def explained(trainer: L.Trainer, folder: str, batch_size: int) -> Iterator[None]:
    """Turn what may befall training into a :class:`RunError`; a bug stays what it is.

    Args:
        trainer: what trains; mistakes that it finds before its first step stay the user's.
        folder: the run's folder.
        batch_size: the global batch, for advice.

    Raises:
        RunError: disk full or read-only, out of memory, files lost, NaN.
        StoppedError: SIGTERM came before the run could note it.
    """
    try:
        yield
    except StoppedError:
        raise
    except SIGTERMException as error:
        raise StoppedError(f"stopped by SIGTERM; {saved(folder)}") from error
    except Exception as error:
        reason = _reason(error, folder, batch_size)
        if reason is None or (isinstance(error, DataError) and not trainer.global_step):
            raise
        raise RunError(f"{reason} {saved(folder)}") from error


@contextmanager
def told(folder: str) -> Iterator[None]:
    """Turn what the machine refuses, in any phase of a command, into one line and exit code 3.

    Raises:
        RunError: disk full or read-only, too many open files.
    """
    try:
        yield
    except Exception as error:
        is_told = isinstance(error, MissrecError)
        trouble = mistaken_for_damage(error) if is_told else trouble_of(error, folder)
        if trouble is None:
            raise
        raise RunError(f"{trouble} {saved(folder)}") from error


def _reason(error: Exception, folder: str, batch_size: int) -> str | None:
    if isinstance(error, RunError | DataError):
        return last_line(str(error))
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(part in text for part in _MEMORY):
        first = (text.splitlines() or [type(error).__name__])[0][:160]
        return (
            f"out of memory at data.batch_size={batch_size} ({first}). Lower data.batch_size (or add processes: "
            "it is the global batch), data.max_history or phase.module.max_logits, or keep features=host."
        )
    if (trouble := trouble_of(error, folder)) is not None:
        return trouble
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or folder} was there when the run began and is gone. Put it back."
    return None


def saved(folder: str) -> str:
    """What a run has saved, and how it goes on."""
    file = Path(folder) / "checkpoints" / LAST
    if not file.is_file():
        return "Nothing was saved yet: start it again."
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
        place = f" (epoch {content['epoch']}, step {content['global_step']})"
    except Exception:  # the message that is being told must not end in another one
        place = ""
    return f"Saved: {file}{place}; go on with the same command, hydra.run.dir={folder} and resume=last."


def last_line(text: str) -> str:
    """The message of an error; that of a loader's worker comes with the worker's traceback before it."""
    if not text.startswith("Caught "):
        return text
    return text.strip().splitlines()[-1].partition(": ")[2]
