"""What a comparison says of each group of runs beside its means: intervals, corrected tests, sizes and costs.

Intervals and tests are percentile bootstraps of a metric over users, and over the seeds of a group with several.
All groups on one data set are held against one of them, and their p-values are corrected for their number (Holm).
"""

from collections.abc import Mapping, Sequence
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from missrec_pl.report.output import short_name
from missrec_pl.report.runs.ranks import kept_metrics
from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.seeds import Runs

RESAMPLES = 10_000
_LEVEL = 0.95

Floats = NDArray[np.float64]


def headers(metric: str) -> list[str]:
    """The columns of `facts`."""
    name = short_name(metric)
    return [f"{name}: 95 %", "against *", "95 %", "p, Holm", "Tried", "Parameters", "Best epoch", "CPU s"]


def facts(
    groups: Mapping[str, Runs], metric: str, reference: str | None, tried: Mapping[str, str]
) -> dict[str, list[str]]:
    """Cells for the groups of one data set.

    Args:
        groups: runs by seed of each group.
        metric: what intervals and tests are about.
        reference: the group that the others are held against.
        tried: how much of its grid a group's settings were chosen from, where that is known.
    """
    columns = {name: values for name, runs in groups.items() if (values := _columns(runs, metric)) is not None}
    of_users: dict[int, list[str]] = {}
    for name, values in columns.items():
        of_users.setdefault(values.shape[0], []).append(name)
    tests: dict[str, list[str]] = {}
    for names in of_users.values():
        tests |= _tests({name: columns[name] for name in names}, reference)
    return {
        name: [*tests.get(name, [""] * 4), tried.get(name, ""), *_costs(list(runs.values()))]
        for name, runs in groups.items()
    }


def _tests(columns: Mapping[str, Floats], reference: str | None) -> dict[str, list[str]]:
    """Interval, difference from the reference, its interval, and its corrected p-value."""
    drawn = bootstrap_groups(columns)
    cells = {name: [_interval(drawn[name])] for name in columns}
    if reference not in columns:
        return {name: [*own, "", "", ""] for name, own in cells.items()}
    others = [name for name in columns if name != reference]
    differences = {name: drawn[name] - drawn[reference] for name in others}
    chances = holm({name: two_sided(values) for name, values in differences.items()})
    for name in others:
        gap = columns[name].mean() - columns[reference].mean()
        cells[name] += [f"{gap:+.4f}", _interval(differences[name], signed=True), _chance(chances[name])]
    return {**cells, reference: [*cells[reference], "*", "", ""]}


def bootstrap_groups(
    columns: Mapping[str, Floats], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Floats]:
    """``[resamples]`` means of each group ``[U, seeds]``: users drawn for all alike, seeds for each group."""
    random = np.random.default_rng(seed)
    joined = np.concatenate(list(columns.values()), axis=1)
    users = len(joined)
    means = np.empty((resamples, joined.shape[1]))
    for number in range(resamples):
        means[number] = np.bincount(random.integers(users, size=users), minlength=users) @ joined / users
    found, first = {}, 0
    for name, values in columns.items():
        count = values.shape[1]
        own = means[:, first : first + count]
        chosen = random.integers(count, size=(resamples, count))
        found[name] = np.take_along_axis(own, chosen, axis=1).mean(1)
        first += count
    return found


def two_sided(differences: Floats) -> float:
    """The p-value of a bootstrapped difference; at least one draw counts on either side."""
    below, above = (differences <= 0).sum(), (differences >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(differences) + 1)))


def holm(chances: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected for their number (Holm, 1979)."""
    found, highest = {}, 0.0
    for number, name in enumerate(sorted(chances, key=lambda name: chances[name])):
        highest = max(highest, min(1.0, chances[name] * (len(chances) - number)))
        found[name] = highest
    return found


def _columns(runs: Runs, metric: str) -> Floats | None:
    """``[U, seeds]`` a metric of each user; None where a run has kept no ranks."""
    values = [kept_metrics(run, [metric]) for run in runs.values()]
    if any(one is None for one in values) or len({len(one) for one in values if one is not None}) != 1:
        return None
    return np.concatenate([one for one in values if one is not None], axis=1)


def _interval(drawn: Floats, *, signed: bool = False) -> str:
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    sign = "+" if signed else ""
    return f"{low:{sign}.4f} to {high:{sign}.4f}"


def _chance(value: float) -> str:
    return f"{value:.4f}" if value >= 0.001 else "< .001"


def _costs(runs: Sequence[RunResult]) -> list[str]:
    """Parameters, the best epoch and processor seconds of training, means over seeds; empty where unknown."""
    epochs = [run.best_epoch + 1 for run in runs if run.best_epoch is not None]
    seconds = [run.cpu_seconds for run in runs if run.cpu_seconds is not None]
    return [
        f"{runs[0].num_params:,}" if runs[0].num_params else "",
        f"{mean(epochs):.0f}" if epochs else "",
        f"{mean(seconds):.0f}" if seconds else "",
    ]
