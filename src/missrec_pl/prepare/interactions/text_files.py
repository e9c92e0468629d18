"""Raw text files as lines, and the column names in their first line."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from missrec_pl.errors import DataError


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file with their ends, unpacked if its name ends in ``.gz``.

    Raises:
        DataError: It is cut off, damaged or no UTF-8; names the line.
    """
    number = 0
    try:
        with _opened(path) as stream:
            for line in stream:
                yield line
                number += 1
    except UnicodeDecodeError as error:
        number += 1 + error.object[: error.start].count(b"\n")  # lines of the block that could not be decoded
        byte = f"byte 0x{error.object[error.start]:02x}, {error.reason}"
        raise DataError(f"{path}:{number}: not UTF-8 ({byte}); convert the file") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read beyond line {number} ({error}); get the file again") from error


def header_of(path: Path, separator: str = ",") -> list[str]:
    """The cells of the first line of a delimited file.

    Raises:
        DataError: The file is empty or no UTF-8.
    """
    try:
        cells = next(csv.reader(lines_of(path), delimiter=separator), [])
    except csv.Error as error:
        raise DataError(f"{path}:1: no line of column names ({error})") from error
    if not cells:
        raise DataError(f"{path} is empty; expected a line of column names")
    return [cell.strip() for cell in cells]


def column_names(path: Path, separator: str = ",") -> list[str]:
    """The names in the first line of a delimited file, as :func:`distinct_names` gives them.

    Raises:
        DataError: The file is empty or no UTF-8, or a name occurs twice.
    """
    return distinct_names(header_of(path, separator), f"{path}:1")


def distinct_names(names: Sequence[str], where: str) -> list[str]:
    """Names by which SQL can tell columns apart; one without a name, such as pandas' index, gets one.

    Raises:
        DataError: A name occurs twice.
    """
    given = [name or f"(column {number})" for number, name in enumerate(names, start=1)]
    repeated = [name for name, times in Counter(map(str.lower, given)).items() if times > 1]
    if repeated:
        raise DataError(
            f"{where}: several columns are called {repeated[0]!r}, whatever their capitals; rename them"
        )
    return given


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
