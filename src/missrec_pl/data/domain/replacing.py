"""Folders and files that appear complete or not at all: built under a temporary name, then renamed."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from missrec_pl.data.domain.manifest import MANIFEST
from missrec_pl.errors import DataError
from missrec_pl.system.files import whole_file

LISTING = "domains.json"
"""Names the domain folders of a cached set, in order."""


@contextmanager
def replacing(target: Path, *, overwrite: bool, is_ours: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Yields an empty folder that replaces ``target`` if the block ends without an error.

    If ``target`` is a symbolic link, the folder that it leads to is replaced. ``is_ours`` says of a folder whether
    it may be; None: a domain folder may.

    Raises:
        DataError: As :func:`check_target`.
    """
    check_target(target, overwrite=overwrite, is_ours=is_ours or is_domain_folder)
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
    """Yields the path of a new file that replaces ``target`` if the block ends without an error.

    Raises:
        DataError: ``target`` is a folder, or exists and ``overwrite`` is false.
    """
    if target.is_dir():
        raise DataError(f"{target} is a folder; name a file in it")
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists already; remove it, choose another name or pass --overwrite")
    with whole_file(target, several_writers=True) as part:
        yield part


def is_domain_folder(folder: Path) -> bool:
    """Whether a folder holds a domain, or a cached set of them."""
    return any((folder / name).is_file() for name in (MANIFEST, LISTING))


def check_target(target: Path, *, overwrite: bool, is_ours: Callable[[Path], bool] = is_domain_folder) -> None:
    """Raises DataError if ``target`` exists, unless it is a domain folder and ``overwrite`` is true."""
    if not target.exists():
        return
    if not overwrite:
        raise DataError(f"{target} exists already; remove it, choose another folder or pass --overwrite")
    if not is_ours(target) and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} is no domain folder and is not overwritten; choose another folder")


def real_path(path: Path | str) -> Path:
    """The absolute path, links followed; DataError if it is relative to a folder that no longer exists."""
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
