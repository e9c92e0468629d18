"""How a delimited file is written: separator, quotation mark and line of names, told by its first lines."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import SEPARATORS, SPACES, FileChoice, separator_name
from missrec_pl.prepare.tables.lines import Look, numbered_lines
from missrec_pl.prepare.tables.records import strict_cells

_SAMPLE = 200
_USUAL = tuple(separator for separator in SEPARATORS.values() if separator.strip(" "))


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written.

    Attributes:
        separator: Text between cells.
        quote: The quotation mark; ``""``: there is none.
        cells: Cells of the first line, stripped.
        first: Number of the line that holds them; the line behind is the next.
    """

    separator: str
    quote: str
    cells: list[str]
    first: int


def sniff(path: Path, found: Look, choice: FileChoice, wanted: Sequence[str] = ()) -> Dialect:
    """The dialect of a file, by its first lines; ``wanted`` are names that its line of names should hold.

    Raises:
        DataError: It is empty, or the separator cannot be told; names ``--separator``.
    """
    sample = list(itertools.islice(_filled(path, found), _SAMPLE))
    if not sample:
        raise DataError(f"{path} is empty; expected a line of column names")
    (first, line), *rest = sample
    separator, told = choice.separator, "--separator names"
    said = line.strip(' "')
    if said.lower().startswith("sep=") and len(said.strip()) <= 6 and rest:  # a line that spreadsheets write
        if separator is None:
            separator, told = said.strip()[4:] or "\t", "its line 'sep=' names"
        (first, line), *rest = rest
    quote = choice.quote
    if quote is None:
        quote = "'" if line.startswith("'") and line.rstrip().endswith("'") and '"' not in line else '"'
    if separator is None:
        separator, told = _separator(path, first, [line, *(text for _, text in rest)], quote, wanted), ""
    line, separator_within = (squeezed(line, quote), " ") if separator == SPACES else (line, separator)
    if told and separator_within not in line and len(wanted) > 1:
        raise DataError(
            f"{path}:{first}: no {separator_name(separator)}, which {told}, in the line of names "
            f"{line[:60]!r}; --separator {path.name}=VALUE is for this file alone"
        )
    cells, problem = strict_cells(line, separator_within, quote)
    if problem:
        cells = line.split(separator_within)
    return Dialect(separator, quote, [cell.strip() for cell in cells], first)


def squeezed(line: str, quote: str) -> str:
    """A line with one space for any number of them, but within quotation marks; none at its ends."""
    within = f"{re.escape(quote)}[^{re.escape(quote)}]*{re.escape(quote)}" if quote in line and quote else "(?!)"
    return re.sub(f"({within})| +", lambda found: found[1] or " ", line).strip(" ")


def _filled(path: Path, found: Look) -> Iterator[tuple[int, str]]:
    for number, line in numbered_lines(path, found):
        for part in line.split("\r"):  # a file joined from several systems
            if part.strip():
                yield number, part


def _separator(path: Path, first: int, lines: Sequence[str], quote: str, wanted: Sequence[str]) -> str:
    """The separator that gives all lines the width of the first, and the first line the wanted names."""
    widths: dict[str, list[int]] = {}
    named: dict[str, int] = {}
    for separator in SEPARATORS.values():
        if separator == SPACES:
            cells = [strict_cells(squeezed(line, quote), " ", quote)[0] for line in lines]
        else:
            cells = [strict_cells(line, separator, quote)[0] for line in lines]
        widths[separator] = [len(row) for row in cells]
        named[separator] = len({cell.strip() for cell in cells[0]} & set(wanted))
    split = [separator for separator in SEPARATORS.values() if widths[separator][0] > 1]
    if not split:
        return ","
    best = max(named[separator] for separator in split)
    if best > 1 or (best == 1 and len(wanted) == 1):
        split = [separator for separator in split if named[separator] == best]
    usual = [separator for separator in split if separator in _USUAL] or split
    if {" ", SPACES} <= set(usual):  # the same but where spaces stand side by side
        are_aligned = SPACES in lines[0].strip() or len(set(widths[" "])) > 1
        usual.remove(" " if are_aligned else SPACES)

    def fitting(separator: str) -> float:
        counts = Counter(widths[separator])
        return counts[widths[separator][0]] / len(lines)

    top = max(map(fitting, usual))
    good = [separator for separator in usual if fitting(separator) == top]
    if len(good) > 1:
        listed = " or ".join(separator_name(separator) for separator in good)
        raise DataError(
            f"{path}:{first}: separated by {listed}? Each gives all lines one number of cells, as in "
            f"{lines[0][:60]!r}; --separator decides"
        )
    return good[0]
