"""The paper's table 1 for any domains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.data.domain.folder import Domain

HEADER = ("Datasets", "#Users", "#Items", "#Img. (Cover.%)", "#Inters.", "Avg. SL.")


@dataclass(frozen=True)
class Statistics:
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
        return (
            self.name,
            f"{self.users:,}",
            f"{self.items:,}",
            f"{self.images:,} ({self.images / self.items:.2%})",
            f"{self.interactions:,}",
            f"{self.interactions / self.users:.2f}",
        )


def statistics_of(path: Path) -> Statistics:
    """Counts of a domain folder.

    Raises:
        DataError: It is damaged.
    """
    domain = Domain.open(path)
    images = int(domain.present("image").sum()) if "image" in domain.modalities else 0
    if "image" not in domain.modalities:
        images = sum(bool(image) for image in domain.image_paths())
    return Statistics(domain.name, domain.num_users, domain.num_items, images, domain.manifest.interactions)


def total(name: str, parts: Sequence[Statistics]) -> Statistics:
    """The sum over domains."""
    return Statistics(
        name,
        sum(part.users for part in parts),
        sum(part.items for part in parts),
        sum(part.images for part in parts),
        sum(part.interactions for part in parts),
    )


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A pipe table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1), *lines[1:]])


def as_latex(rows: Sequence[Sequence[str]]) -> str:
    r"""A ``tabular`` with ``booktabs`` rules."""
    lines = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in rows]
    start = r"\begin{tabular}{l" + "r" * (len(rows[0]) - 1) + "}"
    return "\n".join([start, r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}"])


FORMATS: dict[str, Callable[[Sequence[Sequence[str]]], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
}


def _escaped(cell: str) -> str:
    for letter in "%#_&":
        cell = cell.replace(letter, "\\" + letter)
    return cell
