"""Where reports go: tables of text cells to the terminal or as Markdown, pictures and pages into files."""

import importlib.util
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from missrec_pl.errors import ConfigError
from missrec_pl.system.files import whole_file

# Okabe and Ito's colours, which all kinds of colour vision tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
GREY, DARK = "#9A9A9A", "#333333"

Cells = Sequence[str]

_SHORT_NAMES = {"recall": "R", "ndcg": "N"}
_MEASURED_AS = {"hit_rate": "recall", "precision": "recall", "map": "mrr"}
_WIDTH_WITHOUT_TERMINAL = 200

HISTORY_EXCLUDED = "/history_excluded"  # ends the name of a metric whose ranking leaves out the history's items
LENIENTLY = "_leniently"  # follows it in results of versions that kept a repeated target as a candidate


@dataclass(frozen=True)
class Report:
    """A table and the notes below it; a report may have notes alone."""

    headers: Cells
    sections: Sequence[Sequence[Cells]]  # rows of cells; the terminal draws a line between sections
    num_labels: int  # columns that hold labels; the others hold numbers and never wrap
    notes: Sequence[str] = ()  # a line each
    best: Collection[tuple[int, int, int]] = ()  # section, row, column of cells that a terminal shows in colour

    def markdown(self) -> str:
        """A pipe table and a list."""
        rule = ["---"] * self.num_labels + ["---:"] * (len(self.headers) - self.num_labels)
        lines = [self.headers, rule, *(row for section in self.sections for row in section)]
        blocks = ["\n".join(map(_markdown_row, lines))] if self.sections else []
        if self.notes:
            blocks.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(blocks)

    def print(self, console: Console | None = None) -> None:
        """Print for people; by default as wide as the terminal, or as any table where there is none."""
        console = console or Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL)
        if self.sections:
            table = Table(*self.headers[: self.num_labels], header_style="bold cyan")
            for name in self.headers[self.num_labels :]:
                table.add_column(name, justify="right", no_wrap=True)
            for place, section in enumerate(self.sections):
                for number, row in enumerate(section):
                    told = [(place, number, column) in self.best for column in range(len(row))]
                    table.add_row(*map(Text, row, ["bold green" if one else "" for one in told]))
                table.add_section()
            console.print(table)
        for note in self.notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)


def section(labels: Cells, rows: Sequence[Cells]) -> list[list[str]]:
    """Rows that share labels; the first row alone shows them."""
    return [[*(labels if not at else [""] * len(labels)), *row] for at, row in enumerate(rows)]


def as_measured(metric: str) -> tuple[str, float]:
    """The measured metric that stands for a name, and its factor: with one target ``precision@10`` is a tenth of
    ``recall@10``, ``hit_rate@10`` is it, and ``map@10`` is ``mrr@10``.
    """
    name, at, rest = metric.partition("@")
    cutoff, slash, suffix = rest.partition("/")
    factor = 1 / int(cutoff) if name == "precision" and cutoff.isdecimal() and int(cutoff) else 1.0
    return _MEASURED_AS.get(name, name) + at + cutoff + slash + suffix, factor


def short_name(metric: str) -> str:
    """``recall@10`` as ``R@10``, and ``R@10 excl.`` where the history is excluded."""
    name, at, cutoff = metric.removesuffix(HISTORY_EXCLUDED).partition("@")
    suffix = " excl." if metric.endswith(HISTORY_EXCLUDED) else ""
    return _SHORT_NAMES.get(name, name) + at + cutoff + suffix


def with_deviation(
    values: Sequence[float], deviations: Sequence[float] | None = None, *, signed: bool = False
) -> list[str]:
    """Numbers as ``0.1234`` or, over several seeds, as ``0.1234 ± 0.0012``."""
    rounded = [round(value, 4) + 0.0 for value in values]  # no minus before a zero
    cells = [f"{value:+.4f}" if signed else f"{value:.4f}" for value in rounded]
    if deviations is None:
        return cells
    return [f"{cell} ± {spread:.4f}" for cell, spread in zip(cells, deviations, strict=True)]


def _markdown_row(cells: Cells) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def require_matplotlib() -> None:
    """Raise a `ConfigError` if matplotlib is not installed, before any work is done."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError('the picture needs matplotlib: pip install "missrec-pl[report]"')


def check_out(out: Path, suffix: str) -> Path:
    """The path that ``--out`` names; a `ConfigError` for another kind of file, or a folder that is missing."""
    if out.suffix != suffix:
        kind = suffix.removeprefix(".").upper()
        raise ConfigError(
            f"--out {out}: the picture is a {kind}; write for example --out {out.with_suffix(suffix)}"
        )
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.parent}; make it first")
    return out


def write_whole(target: Path, content: bytes) -> None:
    """Write a file that appears complete or not at all; a `ConfigError` if it cannot be written."""
    try:
        with whole_file(target) as part:
            part.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written ({error.strerror}); choose another file by --out"
        ) from error
