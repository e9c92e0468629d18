"""Tables of text cells, for a terminal or as Markdown."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from missrec_pl.report.runs.collect import HISTORY_EXCLUDED

_SHORT_NAMES = {"recall": "R", "ndcg": "N"}
_WIDTH_WITHOUT_TERMINAL = 200


def print_rows(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, num_labels: int, form: str, notes: Sequence[str] = ()
) -> None:
    """Print a table and, below it, a line per note.

    Args:
        headers: names of the columns.
        rows: cells; a row whose first cell is not empty starts a section.
        num_labels: how many columns are labels; the others hold numbers and never wrap.
        form: ``text`` or ``markdown``.
        notes: what has to be said beside the numbers.
    """
    if form == "markdown":
        rule = ["---"] * num_labels + ["---:"] * (len(headers) - num_labels)
        print("\n".join(markdown_row(cells) for cells in [headers, rule, *rows]))
        print("".join(f"\n- {note}" for note in notes), end="\n" if notes else "")
        return
    table = Table(*headers[:num_labels])
    for name in headers[num_labels:]:
        table.add_column(name, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        if number and row[0]:
            table.add_section()
        table.add_row(*map(Text, row))
    console = make_console()
    console.print(table)
    for note in notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def make_console() -> Console:
    """A console as wide as the terminal, or wide enough for any table where there is none."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a pipe table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def short_name(metric: str) -> str:
    """``recall@10`` as ``R@10``, and ``R@10 excl.`` where the history is excluded."""
    name, at, cutoff = metric.removesuffix(HISTORY_EXCLUDED).partition("@")
    suffix = " excl." if metric.endswith(HISTORY_EXCLUDED) else ""
    return _SHORT_NAMES.get(name, name) + at + cutoff + suffix


def with_deviation(
    values: Sequence[float], deviations: Sequence[float] | None, *, signed: bool = False
) -> list[str]:
    """Numbers as ``0.1234`` or, over several seeds, as ``0.1234 ± 0.0012``."""
    rounded = [round(value, 4) + 0.0 for value in values]  # no minus before a zero
    cells = [f"{value:+.4f}" if signed else f"{value:.4f}" for value in rounded]
    if deviations is None:
        return cells
    return [f"{cell} ± {spread:.4f}" for cell, spread in zip(cells, deviations, strict=True)]
