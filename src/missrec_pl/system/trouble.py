"""What the machine refuses to a program: room on the disk, writing, open files. Each library says it its way."""

from __future__ import annotations

import errno
import re

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_TOO_MANY = {errno.EMFILE, errno.ENFILE}
_WORDS = (
    # pyarrow, duckdb and workers' tracebacks pass on the system's words.
    ("full", re.compile(r"No space left on device|Disk quota exceeded|File too large", re.I)),
    ("many", re.compile(r"Too many open files|received 0 items of ancdata", re.I)),
    ("read-only", re.compile(r"Read-only file system", re.I)),
    # torch's archive writer and numpy's tofile do not say why.
    ("full", re.compile(r"PytorchStreamWriter failed|inline_container\.cc.*(unexpected pos|write)", re.I)),
    ("full", re.compile(r"\d+ requested and \d+ written")),
)
_ADVICE = {
    "full": "the disk is full: {what}. Make room (or raise the limit on the size of files, ulimit -f).",
    "many": "too many files are open: {what}. Raise the limit (ulimit -n 4096), or lower data.num_workers.",
    "read-only": "{what}. Make it writable, or choose another hydra.run.dir.",
}


def trouble_of(error: BaseException, place: str = "") -> str | None:
    """What the machine refused, and what to do, in one line.

    Args:
        error: what was raised; what it was raised from counts, too.
        place: what could not be written, where the error does not say it.

    Returns:
        The line; None if the error is of another kind.
    """
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if (kind := _kind(one)) is not None:
            name = getattr(one, "filename", None) or place
            reason = getattr(one, "strerror", None) or (str(one).splitlines() or [type(one).__name__])[-1][:200]
            what = f"{name} cannot be written ({reason})" if name and kind != "many" else str(reason)
            return _ADVICE[kind].format(what=what)
        one = one.__cause__ or one.__context__
    return None


def mistaken_for_damage(error: BaseException) -> str | None:
    """What the machine refused while a file was read that an error calls damaged: open files, memory on the disk.

    Returns:
        The line of `trouble_of`; None if the file is what the error says.
    """
    cause = error.__cause__
    return trouble_of(cause) if cause is not None and _kind(cause) in ("full", "many") else None


def _kind(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno is not None:
        for kind, numbers in (("full", _FULL), ("many", _TOO_MANY), ("read-only", _READ_ONLY)):
            if error.errno in numbers:
                return kind
    if not isinstance(error, OSError | RuntimeError) and not type(error).__module__.startswith(
        ("duckdb", "_duckdb")
    ):
        return None
    return next((kind for kind, words in _WORDS if words.search(str(error))), None)
