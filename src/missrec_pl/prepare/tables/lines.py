"""The lines of raw text files: their encoding, and what a look at every line tells before a reader is chosen."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import FileChoice
from missrec_pl.prepare.tables.packing import DAMAGE, unpacked
from missrec_pl.system.documents import MAX_LINE, checked_lines

MARK = "\ufeff"
_HEAD = 1 << 16
_BLOCK = 1 << 22
_MARKS = {  # the longer ones first: UTF-32's begins like UTF-16's
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_GUESSES = ("windows-1252", "windows-1251", "gb18030", "shift_jis")


@dataclass(frozen=True)
class Look:
    """What a file is, by its bytes.

    Attributes:
        packing: ``""``, or what it is packed with.
        encoding: Python's name of the encoding.
        newlines: Whether a line ends in LF at all; else in CR.
        is_clean: UTF-8 with one kind of line end, and no byte order mark but at its beginning.
        quotes: Whether there is a quotation mark.
        surrogates: Whether JSON's escapes of halves of letters occur.
    """

    packing: str
    encoding: str
    newlines: bool = True
    is_clean: bool = False
    quotes: bool = True
    surrogates: bool = True

    def __str__(self) -> str:
        encoding = "UTF-8" if self.encoding == "utf-8-sig" else self.encoding
        return ", ".join(filter(None, (encoding, self.packing, "" if self.newlines else "lines end in CR")))


def look(path: Path, choice: FileChoice) -> Look:
    """Reads a whole text file once.

    Raises:
        DataError: It is empty, cut off, damaged, holds NUL bytes, or is of no encoding that can be told; names the
            line, and ``--encoding`` where that decides.
    """
    number = 0
    try:
        with unpacked(path) as (stream, packing):
            head = stream.read(_HEAD)
            if not head.strip():
                raise DataError(f"{path} is empty; expected a line of column names")
            stream.seek(0)
            if (wide := _wide(head, choice)) is not None:
                return Look(packing, wide)
            is_clean, newlines, quotes, surrogates = True, False, False, False
            ends: set[bool] = set()
            while block := stream.read(_BLOCK):
                block += stream.readline(MAX_LINE)
                if problem := _undecodable(block):
                    if choice.encoding is not None:
                        return Look(packing, choice.encoding, b"\n" in head)
                    raise DataError(f"{path}:{number + 1 + problem[0]}: {problem[1]}")
                if (at := block.find(b"\x00")) >= 0:
                    line = number + 1 + block.count(b"\n", 0, at)
                    raise DataError(f"{path}:{line}: a NUL byte; the file is damaged, or no text: get it again")
                feeds, returns, both = (block.count(end) for end in (b"\n", b"\r", b"\r\n"))
                marks = block.count(codecs.BOM_UTF8) - (number == 0 and block.startswith(codecs.BOM_UTF8))
                newlines |= feeds > 0
                ends |= {True} if both else set()
                ends |= {False} if feeds > both else set()
                is_clean &= returns == both and not marks and len(ends) < 2
                quotes |= b'"' in block
                surrogates |= bool(_SURROGATE.search(block))
                number += feeds
            return Look(packing, "utf-8-sig", newlines or not returns, is_clean, quotes, surrogates)
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read beyond line {number} ({error}); get the file again") from error


def numbered_lines(path: Path, found: Look) -> Iterator[tuple[int, str]]:
    """Number and text of every line, without its end, and without byte order marks.

    Raises:
        DataError: A line is too long, or cannot be decoded.
    """
    number = 0
    try:
        with unpacked(path) as (stream, _):
            newline = "\n" if found.newlines else "\r"
            text = io.TextIOWrapper(stream, encoding=found.encoding, newline=newline)
            for number, line in enumerate(checked_lines(text, str(path)), start=1):
                yield number, line.rstrip("\r\n").replace(MARK, "")
    except UnicodeError as error:
        told = f"{path}:{number + 1}: no {found.encoding} ({error}); another --encoding, or convert the file"
        raise DataError(told) from error
    except DAMAGE as error:
        raise DataError(f"{path}: cannot be read beyond line {number} ({error}); get the file again") from error


def _wide(head: bytes, choice: FileChoice) -> str | None:
    """The encoding of text of two or four bytes a letter, by its mark or its NULs; None: it is of another."""
    marked = next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)
    if marked is not None:
        return marked
    if (chosen := choice.encoding) and codecs.lookup(chosen).name.startswith(("utf-16", "utf-32")):
        return chosen
    odd, even = head[1::2].count(0), head[::2].count(0)
    if max(odd, even) * 3 > len(head) and min(odd, even) * 20 < len(head):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _undecodable(block: bytes) -> tuple[int, str] | None:
    """Lines before the one that is no UTF-8, and what to do; None: all are."""
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = block[block.rfind(b"\n", 0, error.start) + 1 :].partition(b"\n")[0].strip()
        at = max(0, error.start - block.rfind(b"\n", 0, error.start) - 21)
        shown = line[at : at + 40]
        readings = [f"{name} reads {text!r}" for name in _GUESSES if (text := _decoded(shown, name))]
        advice = f"--encoding decides: {', '.join(readings)}" if readings else "--encoding decides"
        told = f"not UTF-8 (byte 0x{block[error.start]:02x}, {error.reason}); {advice}; or convert the file"
        return block.count(b"\n", 0, error.start), told
    return None


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
