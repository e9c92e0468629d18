"""What the paper and the authors' repository report, read from ``reported.csv``."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

METRICS = ("recall@10", "ndcg@10", "recall@50", "ndcg@50")


@dataclass(frozen=True)
class Reported:
    """One reported row.

    Attributes:
        table: ``table2`` to ``table5`` of the paper, or ``released``: the table of the authors' README.
        data: The data set, by this project's name.
        input: What describes an item: ID, T (texts), V (images), joined by ``+``.
        variant: The model (tables 2, 3), the start (table 4, released) or the ablation (table 5).
        metrics: ``{"recall@10": ...}``.
    """

    table: str
    data: str
    input: str
    variant: str
    metrics: dict[str, float]


@cache
def reported() -> tuple[Reported, ...]:
    """All reported rows, in the order of the file, whose comments name the sources."""
    text = files("missrec_pl.report.paper").joinpath("reported.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return tuple(
        Reported(
            row["table"],
            row["data"],
            row["input"],
            row["variant"],
            {metric: float(row[metric]) for metric in METRICS},
        )
        for row in csv.DictReader(lines)
    )
