"""What the user decides about raw files where they do not tell it themselves."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import ConfigError

SPACES = "  "
"""Stands for any number of spaces between two cells."""
SEPARATORS = {
    "tab": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "space": " ",
    "colons": "::",
    "ctrl-a": "\x01",
    "spaces": SPACES,
}
"""Separators by name; these are tried where ``--separator`` says nothing, spaces last."""
_QUOTES = {"double": '"', "single": "'", "none": ""}
NOTHING = (
    "NULL",
    "null",
    "nan",
    "NaN",
    "NAN",
    "None",
    "none",
    "N/A",
    "n/a",
    "NA",
    "#N/A",
    "<NA>",
    "NaT",
    r"\N",
    "(null)",
)
"""Words that a cell holds where there is nothing, whatever its column."""


@dataclass(frozen=True)
class FileChoice:
    """The choices that hold for one file; None: the file tells it."""

    separator: str | None = None
    quote: str | None = None  # "" : no quotation marks, they are letters
    encoding: str | None = None  # of a file that is no UTF-8


@dataclass(frozen=True)
class Choices:
    """``--separator``, ``--quote``, ``--encoding``: each ``VALUE``, or ``FILE=VALUE`` for one file alone."""

    separator: Sequence[str] = ()
    quote: Sequence[str] = ()
    encoding: Sequence[str] = ()
    nothing: Sequence[str] = NOTHING  # words of cells that hold nothing
    id_form: Sequence[str] = ()  # spellings that ids of all files are brought to, see ``id_forms``
    allow_unmatched: bool = False  # go on where half of the ids of a join or more match none

    def __post_init__(self) -> None:
        for value in self.encoding:
            try:
                codecs.lookup(value.rpartition("=")[2])
            except LookupError as error:
                raise ConfigError(
                    f"--encoding {value}: no encoding that is known, such as windows-1252"
                ) from error
        for value in self.quote:
            _quote(value.rpartition("=")[2] or value)

    def of(self, path: Path) -> FileChoice:
        """What was chosen for a file."""
        separator, quote = _for_file(self.separator, path), _for_file(self.quote, path)
        return FileChoice(
            None if separator is None else SEPARATORS.get(separator, separator.replace("\\t", "\t")),
            None if quote is None else _quote(quote),
            _for_file(self.encoding, path),
        )


def _for_file(values: Sequence[str], path: Path) -> str | None:
    own = [value.partition("=")[2] for value in values if value.partition("=")[0] == path.name and "=" in value]
    names = {value.partition("=")[0] for value in values if "=" in value[1:]}
    shared = [value for value in values if value.partition("=")[0] not in names]
    return next(iter([*own, *shared]), None)


def _quote(value: str) -> str:
    found = _QUOTES.get(value, value)
    if len(found) > 1:
        raise ConfigError(f"--quote {value}: give double, single, none or one character")
    return found


def separator_name(separator: str) -> str:
    """How a separator is called in messages and by ``--separator``."""
    return next((name for name, value in SEPARATORS.items() if value == separator), repr(separator))
