"""The text files of a released folder: ``.inter``, ``.item2index``, ``.user2index``, ``.text``.

UTF-8 with or without a byte order mark, lines ended by LF or CRLF. Every complaint names file and line.
"""

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.data.sequences import Ints, Sequences, offsets_of
from missrec_pl.errors import DataError
from missrec_pl.system.documents import checked_lines

INTER_HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token"
TEXT_HEADER = "item_id:token\ttext:token_seq"
_ROW = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Rows(Sequences):
    """The rows of one ``.inter`` file, or of one domain's part of it, in file order: their histories, none empty.

    Attributes:
        path: The file.
        users: User tokens [R].
        items: int32, all histories one after the other, as row numbers of the feature files.
        targets: int32 [R], row numbers of the feature files.
        lines: int64 [R], line numbers in the file, counted from 1.
    """

    path: Path
    users: Sequence[str]
    targets: npt.NDArray[np.int32]
    lines: Ints

    def __len__(self) -> int:
        return len(self.targets)

    def where(self, row: int) -> str:
        """``file:line`` of a row."""
        return f"{self.path}:{self.lines[row]}"


def read_rows(path: Path, *, merged: bool = False) -> dict[int, Rows]:
    """Reads an ``.inter`` file, domain by domain.

    Item tokens are row numbers of domain 0, or ``<domain number>-<row>`` if ``merged``.

    Raises:
        DataError: Missing or empty file, bad header or column count, empty history or target, bad token, or a row
            with items of several domains.
    """
    users: list[str] = []
    known: dict[str, str] = {}  # one string a user, however many rows
    numbers, items = array("q"), array("i")  # of each row: domain, length of the history, target, line
    for line, user, tokens in _tokens(path):
        domain, rows = _without_domain(path, line, tokens) if merged else (0, tokens)
        *history, target = _integers(path, line, rows)
        users.append(known.setdefault(user, user))
        items.extend(history)
        numbers.extend((domain, len(history), target, line))
    if not users:
        raise DataError(f"{path}: the split is empty: there is a header and no row")
    domains, counts, targets, lines = np.frombuffer(numbers, np.int64).reshape(-1, 4).T
    all_items = np.frombuffer(items, np.int32)
    return {
        int(domain): Rows(
            path=path,
            users=list(compress(users, chosen)),
            items=all_items[np.repeat(chosen, counts)],
            offsets=offsets_of(counts[chosen]),
            targets=targets[chosen].astype(np.int32),
            lines=lines[chosen],
        )
        for domain, chosen in ((number, domains == number) for number in np.unique(domains))
    }


def read_index(path: Path) -> list[str]:
    """Raw ids in index order, from a file of ``raw id<TAB>index`` lines.

    Raises:
        DataError: The file is empty, a line is malformed, an id is there twice, or the indexes are not 0..n-1 once
            each.
    """
    entries: dict[int, tuple[str, int]] = {}
    lines: dict[str, int] = {}
    for number, line in _lines(path):
        raw, tab, index = line.rpartition("\t")
        if not tab or not raw or not index.isascii() or not index.isdigit():
            raise DataError(f"{path}:{number}: expected 'raw id<TAB>index', found {line[:60]!r}")
        if int(index) in entries:
            raise DataError(f"{path}:{number}: index {index} was given in line {entries[int(index)][1]} already")
        if (before := lines.setdefault(raw, number)) != number:
            raise DataError(f"{path}:{number}: {raw!r} has an index in line {before} already; an id has one")
        entries[int(index)] = (raw, number)
    if not entries:
        raise DataError(f"{path} is empty; expected one 'raw id<TAB>index' line for each entry")
    beyond = [index for index in entries if index >= len(entries)]
    if beyond:
        raise DataError(
            f"{path}:{entries[beyond[0]][1]}: index {beyond[0]} but only {len(entries)} lines; "
            f"indexes have to be 0..{len(entries) - 1}"
        )
    return [entries[index][0] for index in range(len(entries))]


def read_texts(path: Path) -> dict[str, str]:
    """Item texts by raw item id, without quotes as in CSV.

    Raises:
        DataError: A bad header, a line without a tab, or two texts of one item.
    """
    texts: dict[str, str] = {}
    for number, line in _lines(path, TEXT_HEADER):
        raw, tab, text = line.partition("\t")
        if not tab or not raw:
            raise DataError(f"{path}:{number}: expected 'item id<TAB>text', found {line[:60]!r}")
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"')
        if texts.setdefault(raw, text.strip()) != text.strip():
            raise DataError(f"{path}:{number}: item {raw!r} has another text above; keep one of them")
    return texts


def _tokens(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, user, and the item tokens of its history and its target, the target last."""
    for number, line in _lines(path, INTER_HEADER):
        cells = line.split("\t")
        if len(cells) != 3:
            raise DataError(
                f"{path}:{number}: expected 3 columns separated by tabs, found {len(cells)}: {line[:60]!r}"
            )
        user, history, target = cells[0], cells[1].split(), cells[2].strip()
        if not user:
            raise DataError(f"{path}:{number}: no user; expected a user token before the first tab")
        if not history:
            raise DataError(f"{path}:{number}: user {user} has an empty history; remove the row or give its items")
        if not target:
            raise DataError(
                f"{path}:{number}: user {user} has a history but no target; remove the row or give its target"
            )
        yield number, user, [*history, target]


def _without_domain(path: Path, line: int, tokens: list[str]) -> tuple[int, list[str]]:
    pairs = [token.partition("-") for token in tokens]
    wrong = next((pair for pair in pairs if not pair[1] or not pair[0].isdecimal()), None)
    if wrong is not None:
        raise DataError(f"{path}:{line}: item token {''.join(wrong)!r}; expected '<domain number>-<row>'")
    domain = pairs[-1][0]
    if any(pair[0] != domain for pair in pairs):
        raise DataError(f"{path}:{line}: items of several domains in one row; split the user by domain")
    return int(domain), [pair[2] for pair in pairs]


def _integers(path: Path, line: int, tokens: list[str]) -> list[int]:
    wrong = next((token for token in tokens if not _ROW.fullmatch(token)), None)
    if wrong is not None:
        raise DataError(f"{path}:{line}: item token {wrong!r} is not an integer row number of the feature files")
    return list(map(int, tokens))


def _lines(path: Path, header: str | None = None) -> Iterator[tuple[int, str]]:
    """Number and text of every line that is not blank, after the header if there is one."""
    if path.is_dir():
        raise DataError(f"{path} is a folder, not a file")
    if not path.is_file():
        raise DataError(f"{path} is missing")
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            texts = (
                (number, line.rstrip("\r\n").lstrip("\ufeff"))
                for number, line in enumerate(checked_lines(stream, str(path)), 1)
            )
            lines = (numbered for numbered in texts if numbered[1].strip())
            if header is not None and (found := next(lines, (1, ""))[1]) != header:
                raise DataError(f"{path}:1: bad header {found[:80]!r}; expected {header!r}")
            yield from lines
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); convert the file") from error
