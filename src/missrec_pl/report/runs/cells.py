"""Cells of a comparison: our runs by seed, what others report, and the cell that both are held against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from missrec_pl.report.runs.collect import RunResult
from missrec_pl.report.runs.printing import with_deviation
from missrec_pl.report.runs.values import mean_and_deviation, metric_values

Runs = Mapping[int, RunResult]  # by seed


@dataclass(frozen=True)
class Theirs:
    """Numbers that somebody else reports for a cell.

    Attributes:
        source: Who, as the table says it.
        metrics: ``{"recall@10": ...}``.
        is_comparable: False for numbers on other data than ours: no difference is printed.
    """

    source: str
    metrics: Mapping[str, float]
    is_comparable: bool = True


@dataclass(frozen=True)
class Cell:
    """One row of a published table, or one setting of a study.

    Attributes:
        data: The data set.
        name: What the row is called.
        ours: Name of a group of runs -> its runs by seed. Groups of the same name in two cells belong together.
        bases: Name of a group -> its name without what the reference cell may do otherwise, such as the start. It
            is held against the group of its name, or else against the only one of its base name.
        theirs: What is reported, if anything is.
        reference: The cell that this one is held against, e.g. the model without the ablation.
        reference_name: How the table says so.
    """

    data: str
    name: str
    ours: Mapping[str, Runs] = field(default_factory=dict)
    bases: Mapping[str, str] = field(default_factory=dict)
    theirs: Theirs | None = None
    reference: "Cell | None" = None
    reference_name: str = ""


def cell_rows(cells: Sequence[Cell], metrics: Sequence[str]) -> list[list[str]]:
    """Text cells: data, name, whose numbers, a cell per metric, number of seeds.

    Our rows hold means and standard deviations over seeds. Differences from what is reported are of the means;
    differences from the reference cell are paired: means and deviations of the differences seed by seed.
    """
    rows = []
    for cell in cells:
        lines = _lines(cell, metrics)
        rows += [
            [cell.data if not at else "", cell.name if not at else "", *line] for at, line in enumerate(lines)
        ]
    return rows


def _lines(cell: Cell, metrics: Sequence[str]) -> list[list[str]]:
    lines = [_own_line(name, runs, metrics) for name, runs in cell.ours.items()]
    if not lines:
        lines.append(["no runs", *[""] * len(metrics), "0"])
    if cell.theirs is not None:
        theirs = cell.theirs
        lines.append([theirs.source, *_numbers([theirs.metrics.get(metric) for metric in metrics]), ""])
        if theirs.is_comparable:
            lines += [
                [f"{name} - {theirs.source}", *_gaps(runs, theirs.metrics, metrics), ""]
                for name, runs in cell.ours.items()
            ]
    if cell.reference is not None:
        lines += _reference_lines(cell, cell.reference, metrics)
    return lines


def _own_line(name: str, runs: Runs, metrics: Sequence[str]) -> list[str]:
    means, deviations = mean_and_deviation([metric_values(run, metrics) for run in runs.values()])
    return [name, *with_deviation(means, deviations), str(len(runs))]


def _gaps(runs: Runs, theirs: Mapping[str, float], metrics: Sequence[str]) -> list[str]:
    means, _ = mean_and_deviation([metric_values(run, metrics) for run in runs.values()])
    gaps = [mean - theirs[m] if m in theirs else None for m, mean in zip(metrics, means, strict=True)]
    return _numbers(gaps, signed=True)


def _reference_lines(cell: Cell, reference: Cell, metrics: Sequence[str]) -> list[list[str]]:
    lines = []
    for name, runs in cell.ours.items():
        label, others = f"{name}: {cell.reference_name}", _partner(name, cell, reference)
        seeds = sorted(runs.keys() & others.keys())
        if not seeds:
            lines.append([f"{label}: no seed in common", *[""] * len(metrics), "0"])
            continue
        pairs = [(metric_values(runs[seed], metrics), metric_values(others[seed], metrics)) for seed in seeds]
        means, deviations = mean_and_deviation([[a - b for a, b in zip(*pair, strict=True)] for pair in pairs])
        lines.append([label, *with_deviation(means, deviations, signed=True), str(len(seeds))])
    if cell.theirs is not None and reference.theirs is not None:
        ours, others_metrics = cell.theirs.metrics, reference.theirs.metrics
        gaps = [ours[m] - others_metrics[m] if m in ours and m in others_metrics else None for m in metrics]
        lines.append([f"{cell.theirs.source}: {cell.reference_name}", *_numbers(gaps, signed=True), ""])
    return lines


def _partner(name: str, cell: Cell, reference: Cell) -> Runs:
    if name in reference.ours:
        return reference.ours[name]
    alike = [
        runs for other, runs in reference.ours.items() if reference.bases.get(other) == cell.bases.get(name, name)
    ]
    return alike[0] if len(alike) == 1 else {}


def _numbers(values: Sequence[float | None], *, signed: bool = False) -> list[str]:
    return ["" if value is None else with_deviation([value], None, signed=signed)[0] for value in values]
