"""Checkpoint files: names of them and in them, the one before kept, damage noticed."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
RECORD = "missrec_pl"
"""Key in a checkpoint of what it says about the run that made it."""


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
