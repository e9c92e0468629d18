"""Checkpoint files: their names, the one before kept, damage noticed, and which one to continue from."""

from __future__ import annotations

import logging
import os
import shutil
import zipfile
from pathlib import Path

from missrec_pl.errors import CheckpointError

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
OWN = "last"
"""What ``resume`` says for this run's own newest whole checkpoint."""
RECORD = "missrec_pl"
"""Key in a checkpoint of what it says about the run that made it."""
SCHEMA_VERSION = 1
"""Of that record; it grows where an earlier program would read one wrongly. The first ones state none."""


def keep_previous(folder: Path) -> None:
    """Give ``last.ckpt`` the name ``previous.ckpt`` too, before a new one takes its place."""
    last, part = folder / LAST, folder / f".{PREVIOUS}.part"
    if not last.is_file():
        return
    part.unlink(missing_ok=True)
    try:
        os.link(last, part)  # no copy, and at no moment is there no last.ckpt
    except OSError:  # a file system without hard links
        shutil.copyfile(last, part)
    part.replace(folder / PREVIOUS)


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint file, without unpickling any of it.

    Returns:
        A few words, or None for an archive whose entries have the sizes and the checksums that it states.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            # torch stores entries as they are: what would grow while reading is not ours.
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                return "its entries are compressed, which torch never does"
            if sum(entry.file_size for entry in entries) > path.stat().st_size:
                return "its entries claim to be larger than the file"
            if damaged := archive.testzip():
                return f"the checksum of its entry {damaged} is wrong"
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return None


def find_checkpoint(resume: str, output_dir: str) -> str | None:
    """The file to continue from.

    Args:
        resume: ``last``, the folder of a run, or a checkpoint file.
        output_dir: the folder of this run.

    Returns:
        The file; None if ``last`` finds no checkpoint yet, so that one command both starts and continues a run.

    Raises:
        CheckpointError: a folder without checkpoints, or none that is whole.
    """
    if resume != OWN and not Path(resume).is_dir():
        return resume
    run = Path(output_dir if resume == OWN else resume)
    folder = run / "checkpoints" if (run / "checkpoints").is_dir() else run
    present = [folder / name for name in (LAST, PREVIOUS) if (folder / name).is_file()]
    if not present:
        if resume == OWN:
            log.info("resume=last: there is no checkpoint in %s yet, the run starts from the beginning", folder)
            return None
        raise CheckpointError(f"resume={resume}: there is no {LAST} in {folder}; name a run's folder.")
    for file in present:
        reason = damage_of(file)
        if reason is None:
            log.info("resume: continuing from %s", file)
            return str(file)
        log.warning("resume: %s is damaged (%s) and skipped", file, reason)
    raise CheckpointError(
        f"resume={resume}: {' and '.join(map(str, present))} are damaged; start again without resume, or from "
        f"{folder / 'best.ckpt'} with ckpt."
    )
