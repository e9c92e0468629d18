"""One family of errors for mistakes a user can mend: each message says what was found, where, and what to do.

The entry points print the message on one line and exit with code 2; anything else is a bug and shows a traceback.
"""


class MissrecError(Exception):
    """Base of every error caused by input rather than by the program."""


class ConfigError(MissrecError):
    """A configuration value, or a combination of values, cannot work."""


class DataError(MissrecError):
    """A data file is missing, damaged or inconsistent."""


class CheckpointError(MissrecError):
    """A checkpoint cannot be read or does not fit the model it is loaded into."""
