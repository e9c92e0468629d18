"""Lines to rows of cells: quotation marks, line ends within cells, and what is refused rather than guessed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import separator_name

_LONGEST = 1 << 20  # characters of a quoted cell that goes on over lines
_SAMPLE = 1000  # rows by which the kinds of a column's cells are known
_CLASSES = (  # of a cell, by which a line within quotation marks is told from a row
    ("empty", re.compile("")),
    ("digits", re.compile(r"[+-]?\d+")),
    ("number", re.compile(r"[\d.,:+TZ/ -]*\d[\d.,:+TZ/ -]*")),
    ("letters", re.compile(r"[^\W\d_]+")),
    ("word", re.compile(r"\S+")),
)


@dataclass
class Records:
    """Splits a text file's lines into rows of one width.

    Attributes:
        path: The file, for messages.
        separator: Text between cells.
        quote: The quotation mark; ``""``: there is none.
        width: Cells of a row.
        names: The line of names, which is left out where it comes again; None: there is none.
        is_chosen: Whether ``quote`` was chosen by the user, so that nothing is a guess.
    """

    path: Path
    separator: str
    quote: str
    width: int
    names: Sequence[str] | None = None
    is_chosen: bool = False
    rows: int = 0
    blank: int = 0
    repeated: int = 0  # lines of names behind the first
    unclosed: list[int] = field(default_factory=list)  # lines whose quotation marks are letters
    _kinds: list[set[str]] = field(default_factory=list)
    _ahead: deque[tuple[int, str]] = field(default_factory=deque)  # lines that were read and not used yet
    _lines: Iterator[tuple[int, str]] = field(default_factory=lambda: iter(()))

    def read(self, lines: Iterator[tuple[int, str]]) -> Iterator[list[str]]:
        """The rows in order.

        Raises:
            DataError: A row of another width, or quotation marks of which nobody can tell whether they join lines.
        """
        self._lines, self._ahead = lines, deque()
        self.repeated = -1 if self.names else 0  # the first is met, too
        while (numbered := self._take()) is not None:
            number, line = numbered
            if not line.strip() and (self.width > 1 or not line):
                self.blank += 1
                continue
            if "\r" in line and (parts := self._lines_within(line)):
                self._ahead.extendleft((number, part) for part in reversed(parts[1:]))
                line = parts[0]
            if self.quote and self.quote in line:
                cells = self._quoted(number, line)
            else:
                cells = self._fitting(line.split(self.separator), number)
            if self.names and cells[0].strip() == self.names[0] and [cell.strip() for cell in cells] == self.names:
                self.repeated += 1
                continue
            self.rows += 1
            if self.rows <= _SAMPLE:
                self._learn(cells)
            yield cells

    def _take(self) -> tuple[int, str] | None:
        return self._ahead.popleft() if self._ahead else next(self._lines, None)

    def _lines_within(self, line: str) -> list[str] | None:
        """The lines of one that holds carriage returns, where these end rows."""
        parts = [part for part in line.split("\r") if part.strip()]
        ends_rows = line.count(self.separator) != self.width - 1 and len(parts) > 1
        widths = {len(strict_cells(part, self.separator, self.quote)[0]) for part in parts} if ends_rows else {0}
        return parts if widths == {self.width} else None

    def _quoted(self, number: int, line: str) -> list[str]:
        """The cells of a row that begins in ``line``, in which there are quotation marks."""
        if line.count(self.quote) == 2 * self.width and line[0] == line[-1] == self.quote:
            cells = line[1:-1].split(self.quote + self.separator + self.quote)  # all cells quoted, plainly
            if len(cells) == self.width:
                return cells
        cells, problem = strict_cells(line, self.separator, self.quote)
        literal = line.split(self.separator)
        if not problem:
            if len(cells) != self.width == len(literal):
                raise self._unsure(number, "closed behind a separator")
            return self._fitting(cells, number)
        escaped, wrong = strict_cells(line, self.separator, self.quote, escape="\\")
        if not wrong and len(escaped) == self.width:
            return escaped
        more: list[tuple[int, str]] = []
        if problem == "open":
            cells, problem, more = self._going_on(line)
        joins = not problem and len(cells) == self.width
        rows_within = [self._looks_like_a_row(text) for _, text in more]
        if joins and (self.is_chosen or not any(rows_within)):
            return cells
        self._ahead.extendleft(reversed(more))
        if len(literal) == self.width and not self.is_chosen and (not joins or all(rows_within)):
            if joins and not self._is_certain():
                raise self._unsure(number, f"closed in line {more[-1][0]}")
            self.unclosed.append(number)
            return [_bare(cell, self.quote) for cell in literal]
        raise self._unsure(number, f"closed in line {more[-1][0]}, behind whole rows" if joins else "not closed")

    def _going_on(self, line: str) -> tuple[list[str], str, list[tuple[int, str]]]:
        """Reads on until the quotation mark is closed: the cells, what is wrong, and the lines that were read."""
        more: list[tuple[int, str]] = []
        size = len(line)
        while size < _LONGEST and (numbered := self._take()) is not None:
            more.append(numbered)
            size += len(numbered[1])
            if self.quote in numbered[1]:
                whole = "\n".join((line, *(text for _, text in more)))
                cells, problem = strict_cells(whole, self.separator, self.quote)
                if problem == "wrong":
                    cells, problem = strict_cells(whole, self.separator, self.quote, escape="\\")
                if problem != "open":
                    return cells, problem, more
        return [], "open", more

    def _fitting(self, cells: list[str], number: int) -> list[str]:
        """The cells, without empty ones behind the last; raises DataError for any other width."""
        if len(cells) == self.width:
            return cells
        if len(cells) > self.width and not any(cell.strip() for cell in cells[self.width :]):
            return cells[: self.width]
        shown = self.separator.join(cells)[:60]
        raise DataError(
            f"{self.path}:{number}: {len(cells)} cells instead of {self.width}, separated by "
            f"{separator_name(self.separator)}: {shown!r}; mend the line, or choose --separator or --quote"
        )

    def _learn(self, cells: list[str]) -> None:
        if not self._kinds:
            self._kinds = [set() for _ in range(self.width)]
        for kinds, cell in zip(self._kinds, cells, strict=True):
            kinds.add(_kind(cell))

    def _looks_like_a_row(self, line: str) -> bool:
        """Whether a line has a row's width, and cells of the kinds that the columns hold so far."""
        cells = line.split(self.separator)
        known = [(kinds, cell) for kinds, cell in zip(self._kinds, cells, strict=False) if self.quote not in cell]
        fits = all("text" in kinds or _kind(cell) in kinds for kinds, cell in known)
        return len(cells) == self.width and fits and (bool(known) or not self._kinds)

    def _is_certain(self) -> bool:
        """Whether some column holds cells of one kind only, so that a line that looks like a row is one."""
        return any("text" not in kinds and len(kinds - {"empty"}) == 1 for kinds in self._kinds)

    def _unsure(self, number: int, what: str) -> DataError:
        return DataError(
            f"{self.path}:{number}: a quotation mark opens a cell and is {what}: a mark or a letter? --quote "
            f"double or none decides (--quote {self.path.name}=none for this file alone); or mend the line"
        )


def _kind(cell: str) -> str:
    cell = cell.strip()
    return next((name for name, pattern in _CLASSES if pattern.fullmatch(cell)), "text")


def _bare(cell: str, quote: str) -> str:
    """A cell without the quotation marks around it."""
    inner = cell.strip()[1:-1]
    return (
        inner
        if len(cell.strip()) > 1 and cell.strip() == f"{quote}{inner}{quote}" and quote not in inner
        else cell
    )


def strict_cells(text: str, separator: str, quote: str, escape: str = "") -> tuple[list[str], str]:
    """The cells of a text by RFC 4180, and ``open`` or ``wrong`` where a quoted cell does not end as it should.

    With ``escape`` a quotation mark behind it is a letter.
    """
    if not quote or quote not in text:
        return text.split(separator), ""
    cells, at, end = [], 0, len(text)
    while True:
        start = at
        while start < end and text[start] == " " and separator != " ":
            start += 1
        if not text.startswith(quote, start):
            stop = text.find(separator, at)
            cells.append(text[at:] if stop < 0 else text[at:stop])
            if stop < 0:
                return cells, ""
            at = stop + len(separator)
            continue
        close = start + 1
        while True:
            close = text.find(quote, close)
            if close < 0:
                return cells, "open"
            if escape and text[close - 1] == escape:
                close += 1
            elif text.startswith(quote, close + 1):
                close += 2
            else:
                break
        cell = text[start + 1 : close].replace(quote * 2, quote)
        cells.append(cell.replace(escape + quote, quote) if escape else cell)
        after = close + 1
        while after < end and text[after] == " " and separator != " ":
            after += 1
        if after == end:
            return cells, ""
        if not text.startswith(separator, after):
            return cells, "wrong"
        at = after + len(separator)
