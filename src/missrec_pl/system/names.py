"""Names that data gives to files and folders: they stay in the folder that they belong to, on every system."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from missrec_pl.errors import DataError

_MAX_BYTES = 255  # of one name, on most file systems
# Windows opens a device for these, whatever follows the first dot.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])\s*(\..*)?", re.IGNORECASE
)


def check_name(name: str, where: str, what: str = "file or folder") -> str:
    """Returns the name of one file or folder, if it is one on Linux, macOS and Windows.

    Args:
        name: What data or a user calls it.
        where: Which file names it, for the message.
        what: What is called so, for the message.

    Raises:
        DataError: It is empty, ``.`` or ``..``, holds a separator, colon or control character, ends with a dot or
            space, is a device of Windows, or is too long.
    """
    if problem := _problem(name):
        raise DataError(
            f"{where}: {_shown(name)} is no name of a {what}: it {problem}; rename it to letters, digits, - and _"
        )
    return name


def inside(folder: Path, name: str, where: str, what: str = "folder", *, links: bool = False) -> Path:
    """The path of a file or folder below ``folder``, which may itself be a link.

    Args:
        folder: What it must not leave.
        name: Names joined by ``/``.
        where: Which file names it, for the message.
        what: What the folder is, for the message.
        links: Whether links on the way may lead out of the folder: only where the user made them.

    Raises:
        DataError: A part of the name is none (see :func:`check_name`), or a link leads out.
    """
    for part in name.split("/"):
        if problem := _problem(part):
            raise DataError(
                f"{where}: {_shown(name)} leaves the {what}: a part of it {problem}; name "
                f"something inside {folder}"
            )
    path = folder / name
    if not links and not is_within(path, [folder]):
        raise DataError(f"{where}: {_shown(name)} is a link that leads out of {folder}; put the file itself there")
    return path


def is_within(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path lies in one of the folders once all links are followed."""
    real = Path(os.path.realpath(path))  # Path.resolve raises at a link that leads to itself
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def _problem(name: str) -> str | None:
    if not name:
        return "is empty"
    if name in (".", ".."):
        return "is a step to another folder"
    if any(letter in "/\\:" or ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "has a separator, a colon or a control character"
    if name[-1] in ". ":
        return "ends with a dot or a space"
    if _DEVICE.fullmatch(name):
        return "is a device of Windows"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is no valid Unicode"
    return f"has {size} bytes, more than {_MAX_BYTES}" if size > _MAX_BYTES else None


def _shown(name: str) -> str:
    return ascii(name) if len(name) <= 80 else f"{name[:77]!a}..."
