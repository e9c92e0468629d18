"""The paper's table 1 for any domains."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from missrec_pl.data.domain.folder import Domain

HEADER = ("Datasets", "#Users", "#Items", "#Img. (Cover.%)", "#Inters.", "Avg. SL.")


class Statistics(NamedTuple):
    """Counts of a domain.

    Attributes:
        images: Items with image features, or, where there are none yet, with a picture file.
    """

    name: str
    users: int
    items: int
    images: int
    interactions: int

    def cells(self) -> tuple[str, ...]:
        """As printed."""
        images = f"{self.images:,} ({self.images / self.items:.2%})"
        length = f"{self.interactions / self.users:.2f}"
        return self.name, f"{self.users:,}", f"{self.items:,}", images, f"{self.interactions:,}", length


def statistics_of(path: Path) -> Statistics:
    """Counts of a domain folder.

    Raises:
        DataError: It is damaged.
    """
    domain = Domain.open(path)
    has_image = domain.present("image") if "image" in domain.modalities else map(bool, domain.image_paths())
    images = sum(map(int, has_image))
    return Statistics(domain.name, domain.num_users, domain.num_items, images, domain.manifest.interactions)


def total(name: str, parts: Sequence[Statistics]) -> Statistics:
    """The sum over domains."""
    return Statistics(name, *(sum(column) for column in list(zip(*parts, strict=True))[1:]))


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces: names left, numbers right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *map(str.rjust, cells, widths[1:])]) for first, *cells in rows
    )


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A pipe table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1), *lines[1:]])


def as_latex(rows: Sequence[Sequence[str]]) -> str:
    r"""A ``tabular`` with ``booktabs`` rules."""
    lines = [" & ".join(re.sub("([%#_&])", r"\\\1", cell) for cell in row) + r" \\" for row in rows]
    start = r"\begin{tabular}{l" + "r" * (len(rows[0]) - 1) + "}"
    return "\n".join([start, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}"])


FORMATS: dict[str, Callable[[Sequence[Sequence[str]]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
}
