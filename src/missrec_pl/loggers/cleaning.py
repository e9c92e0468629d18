"""What is handed to a logger may leave the machine: it names no place on it."""

import re
from pathlib import Path, PureWindowsPath
from typing import Any

# A path from the root, the home folder or a drive; not the slashes of an address (https://) or of a/b.
_ROOTED = re.compile(
    r"file:/+[^\s,;'\"\])}]*|(?<![\w.\-/\\])(?:~?/(?!/)|//(?=\w)(?<!:..)|[A-Za-z]:[\\/]|\\\\)[^\s,;'\"\])}]*"
)


def without_paths(value: Any) -> Any:
    """Plain values, of whose absolute paths the last name alone is left, in keys and texts alike."""
    if isinstance(value, dict):
        return {without_paths(key): without_paths(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(part) for part in value]
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    for folder in (Path.cwd(), Path.home()):
        if folder != Path(folder.anchor):
            text = text.replace(str(folder), "~")
    if re.match(r"/(?!/)|~/|[A-Za-z]:[\\/]", text) and "=" not in text:  # whole, spaces and all
        return PureWindowsPath(text).name
    return _ROOTED.sub(lambda found: PureWindowsPath(found[0]).name, text)
