"""Folders and files that appear complete or not at all.

Each is built under a temporary name beside its target and renamed when it is complete, so that an interrupted
preparation leaves nothing that could be opened.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from missrec_pl.data.domain.manifest import MANIFEST
from missrec_pl.errors import DataError
from missrec_pl.system.files import whole_file

LISTING = "domains.json"
"""Names the domain folders of a cached set, in order."""


@contextmanager
def replacing(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives an empty folder beside ``target`` that takes its place if the block ends without an error.

    A symbolic link stays one: the folder that it leads to is replaced.

    Args:
        target: The folder to make.
        overwrite: Replace an existing domain folder instead of refusing.

    Raises:
        DataError: ``target`` exists and may not be replaced.
    """
    check_target(target, overwrite=overwrite)
    target = real_path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    unique = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    folder = target.parent / f".{target.name}.tmp-{unique}"
    folder.mkdir()
    try:
        yield folder
        if target.exists():
            retired = target.parent / f".{target.name}.old-{unique}"
            target.rename(retired)
            folder.rename(target)
            shutil.rmtree(retired)
        else:
            folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing_file(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Gives the path of a file yet to be written that takes ``target``'s place if the block ends without an error.

    Args:
        target: The file to make.
        overwrite: Replace an existing file instead of refusing.

    Raises:
        DataError: ``target`` exists and may not be replaced.
    """
    if target.is_dir():
        raise DataError(f"{target} is a folder; name a file in it")
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists already; remove it, choose another name or pass --overwrite")
    with whole_file(target, several_writers=True) as part:
        yield part


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuses to replace what exists, and what is no domain folder even with ``overwrite``.

    Raises:
        DataError: Says what is in the way.
    """
    if not target.exists():
        return
    if not overwrite:
        raise DataError(f"{target} exists already; remove it, choose another folder or pass --overwrite")
    ours = any((target / name).is_file() for name in (MANIFEST, LISTING))
    if not ours and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} is no domain folder and is not overwritten; choose another folder")


def real_path(path: Path | str) -> Path:
    """The absolute path of a file or folder, links followed: its name is no ``.`` and its parent holds it.

    Raises:
        DataError: The path counts from the current folder, which is there no more.
    """
    try:
        return Path(os.path.realpath(path))  # Path.resolve raises at a link that leads to itself
    except FileNotFoundError as error:
        raise DataError(f'{path}: the current folder was replaced; enter the new one with cd "$PWD"') from error


def remove_leftovers(target: Path) -> None:
    """Removes what killed processes left of ``target``; call it only while nobody else can be making it."""
    target = real_path(target)
    for pattern in (f".{target.name}.tmp-*", f".{target.name}.old-*"):
        for folder in target.parent.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
