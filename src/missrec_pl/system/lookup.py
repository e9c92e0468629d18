"""Finding folders that users name, with messages that help when they are not there."""

import difflib
from pathlib import Path

from missrec_pl.errors import DataError


def near_names(wanted: str, known: list[str], limit: int = 12) -> str:
    """One phrase that lists what exists, the likeliest first: ``did you mean 'a'? known: 'b', 'c'``."""
    if not known:
        return "there is nothing to choose from"
    close = difflib.get_close_matches(wanted.lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    guess = next((name for name in known if close and name.lower() == close[0]), None)
    shown = ", ".join(repr(name) for name in sorted(known)[:limit])
    more = f" and {len(known) - limit} more" if len(known) > limit else ""
    return (f"did you mean {guess!r}? " if guess else "") + f"known: {shown}{more}"


def require_folder(path: Path, what: str) -> Path:
    """Returns ``path`` if it is a folder.

    Args:
        path: The folder that the user named.
        what: What it should hold, for the message ("domain folder").

    Raises:
        DataError: It is missing or a file; the message lists the folders beside it.
    """
    if path.is_dir():
        return path
    if path.exists():
        raise DataError(f"{path} is a file, not a {what}; name the folder that holds it")
    parent = path.parent
    if not parent.is_dir():
        raise DataError(
            f"no {what} at {path}: the folder {parent.absolute()} does not exist either; check paths.data_dir"
        )
    beside = [entry.name for entry in parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    raise DataError(f"no {what} at {path}; in {parent.absolute()}: {near_names(path.name, beside)}")
