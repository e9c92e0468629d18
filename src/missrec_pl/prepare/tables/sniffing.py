"""How a delimited file is written: separator, quotation mark and line of names, told by its first lines."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.tables.choices import SEPARATORS, FileChoice, separator_name
from missrec_pl.prepare.tables.lines import Look, numbered_lines
from missrec_pl.prepare.tables.records import strict_cells

_SAMPLE = 200
_USUAL = tuple(separator for separator in SEPARATORS.values() if separator != " ")


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
    separator = choice.separator
    if line.lower().startswith("sep=") and len(line.strip()) <= 6 and rest:  # a line that spreadsheets write
        separator = separator or line.strip()[4:] or "\t"
        (first, line), *rest = rest
    quote = choice.quote
    if quote is None:
        quote = "'" if line.startswith("'") and line.rstrip().endswith("'") and '"' not in line else '"'
    if separator is None:
        separator = _separator(path, first, [line, *(text for _, text in rest)], quote, wanted)
    elif separator not in line and len(wanted) > 1:
        raise DataError(
            f"{path}:{first}: no {separator_name(separator)}, which --separator names, in the line of names "
            f"{line[:60]!r}; --separator {path.name}=VALUE is for this file alone"
        )
    cells, problem = strict_cells(line, separator, quote)
    if problem:
        cells = line.split(separator)
    return Dialect(separator, quote, [cell.strip() for cell in cells], first)


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
