"""Cells of a comparison: our runs by seed, what others report, and the cell that both are held against."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from missrec_pl.report.output import section, with_deviation
from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.seeds import Runs, by_seed, mean_and_deviation, over_seeds

Row = TypeVar("Row", bound=Hashable)


@dataclass(frozen=True)
class Theirs:
    """Numbers that somebody else reports for a cell."""

    source: str  # who, as the table says it
    metrics: Mapping[str, float]  # {"recall@10": ...}
    is_comparable: bool = True  # False for numbers on other data than ours: no difference is printed


@dataclass(frozen=True)
class Cell:
    """One row of a published table, or one setting of a study.

    A group of runs is held against the group of its name in the reference cell. Where there is none, it is held
    against the only group of its base name: its name without choices that the reference cell lacks.
    """

    data: str
    name: str  # of the row
    ours: Mapping[str, Runs]  # by name of the group
    bases: Mapping[str, str]  # name of a group -> its base name
    theirs: Theirs | None = None
    reference: "Cell | None" = None  # e.g. the model without the ablation
    reference_name: str = ""  # how the table says so
    facts: Mapping[str, Sequence[str]] = field(default_factory=dict)  # further cells of a group, by its name
    num_facts: int = 0


def by_data_and_row(
    keyed: Iterable[tuple[tuple[str, Row, str], RunResult]], metrics: Sequence[str]
) -> dict[str, dict[Row, dict[str, Runs]]]:
    """Runs by data set, row and name of their group, which key them; a `DataError` as by `by_seed`."""
    found: dict[str, dict[Row, dict[str, Runs]]] = {}
    for (data, row, name), runs in by_seed(keyed, metrics).items():
        found.setdefault(data, {}).setdefault(row, {})[name] = runs
    return found


def cell_section(cell: Cell, metrics: Sequence[str]) -> list[list[str]]:
    """Rows of text: data, name, whose numbers, a cell per metric, the group's further cells, number of seeds.

    Our rows hold means and standard deviations over seeds. Differences from what is reported are of the means.
    Differences from the reference cell are paired by seed.
    """
    no_facts = [""] * cell.num_facts
    rows = [
        [name, *with_deviation(*over_seeds(runs, metrics)), *cell.facts.get(name, no_facts), str(len(runs))]
        for name, runs in cell.ours.items()
    ] or [["no runs", *[""] * len(metrics), *no_facts, "0"]]
    if theirs := cell.theirs:
        rows.append([theirs.source, *_numbers([theirs.metrics.get(metric) for metric in metrics]), *no_facts, ""])
        if theirs.is_comparable:
            for name, runs in cell.ours.items():
                means = dict(zip(metrics, over_seeds(runs, metrics)[0], strict=True))
                rows.append([f"{name} - {theirs.source}", *_gaps(means, theirs.metrics, metrics), *no_facts, ""])
    if cell.reference is not None:
        rows += _reference_rows(cell, cell.reference, metrics)
    return section([cell.data, cell.name], rows)


def _reference_rows(cell: Cell, reference: Cell, metrics: Sequence[str]) -> list[list[str]]:
    rows = []
    for name, runs in cell.ours.items():
        label, others = f"{name}: {cell.reference_name}", _partner(name, cell, reference)
        seeds = sorted(runs.keys() & others.keys())
        if not seeds:
            rows.append([f"{label}: no seed in common", *[""] * len(metrics), "0"])
            continue
        pairs = [(runs[seed].test_metrics(metrics), others[seed].test_metrics(metrics)) for seed in seeds]
        differences = mean_and_deviation([[a - b for a, b in zip(*pair, strict=True)] for pair in pairs])
        rows.append([label, *with_deviation(*differences, signed=True), str(len(seeds))])
    if cell.theirs is not None and reference.theirs is not None:
        gaps = _gaps(cell.theirs.metrics, reference.theirs.metrics, metrics)
        rows.append([f"{cell.theirs.source}: {cell.reference_name}", *gaps, ""])
    return rows


def _partner(name: str, cell: Cell, reference: Cell) -> Runs:
    if name in reference.ours:
        return reference.ours[name]
    base = cell.bases.get(name, name)
    alike = [runs for other, runs in reference.ours.items() if reference.bases.get(other) == base]
    return alike[0] if len(alike) == 1 else {}


def _gaps(first: Mapping[str, float], second: Mapping[str, float], metrics: Sequence[str]) -> list[str]:
    gaps = [first[one] - second[one] if one in first and one in second else None for one in metrics]
    return _numbers(gaps, signed=True)


def _numbers(values: Sequence[float | None], *, signed: bool = False) -> list[str]:
    return ["" if value is None else with_deviation([value], signed=signed)[0] for value in values]
