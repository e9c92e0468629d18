"""One family of errors for mistakes a user can mend: each message says what was found, where, and what to do.

The entry points print the message on one line and exit with its code; anything else is a bug, with a traceback.
"""


class MissrecError(Exception):
    """Base of every error caused by input rather than by the program.

    Attributes:
        exit_code: what the entry points end with.
    """

    exit_code = 2


class ConfigError(MissrecError):
    """A configuration value, or a combination of values, cannot work."""


class DataError(MissrecError):
    """A data file is missing, damaged or inconsistent."""


class CheckpointError(MissrecError):
    """A checkpoint cannot be read or does not fit the model it is loaded into."""


class RunError(MissrecError):
    """A run could not go on (disk full, out of memory, NaN, lost files); the message says what was saved."""

    exit_code = 3


class StoppedError(MissrecError):
    """A run was told to stop, and did where it can be continued from: the exit code asks for another try."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


def printable(line: str, limit: int = 600) -> str:
    """One line of a message as it may be printed: no control characters of a hostile file, no endless names."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    if len(shown) <= limit:
        return shown
    half = limit // 2
    return f"{shown[:half]} … {shown[-half:]}"
