"""What a comparison says of each group of runs beside its means: intervals, corrected tests, sizes and costs.

Intervals are percentile bootstraps of a metric over users, and over the seeds of a group with several; tests are
paired permutations of both. All groups on one data set are held against one of them, and their p-values are
corrected for their number (Holm).
"""

from collections.abc import Mapping, Sequence
from statistics import mean

import numpy as np

from missrec_pl.report.output import short_name
from missrec_pl.report.runs.bootstrap import (
    Floats,
    bootstrap_groups,
    chance_in_words,
    effect_in_words,
    effect_size,
    holm,
    interval_in_words,
    permutation_chance,
)
from missrec_pl.report.runs.ranks import kept_metrics
from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.seeds import Runs


def headers(metric: str) -> list[str]:
    """The columns of `facts`."""
    name = short_name(metric)
    return [f"{name}: 95 %", "against *", "95 %", "d", "p, Holm", "Tried", "Parameters", "Best epoch", "CPU s"]


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
        name: [*tests.get(name, [""] * 5), tried.get(name, ""), *_costs(list(runs.values()))]
        for name, runs in groups.items()
    }


def _tests(columns: Mapping[str, Floats], reference: str | None) -> dict[str, list[str]]:
    """Interval, difference from the reference, its interval, effect size and corrected p-value."""
    drawn = bootstrap_groups(columns)
    cells = {name: [interval_in_words(drawn[name])] for name in columns}
    if reference is None or reference not in columns:
        return {name: [*own, "", "", "", ""] for name, own in cells.items()}
    held = columns[reference]
    others = {name: values for name, values in columns.items() if name != reference}
    chances = holm({name: permutation_chance(values, held) for name, values in others.items()})
    for name, values in others.items():
        cells[name] += [
            f"{values.mean() - held.mean():+.4f}",
            interval_in_words(drawn[name] - drawn[reference], signed=True),
            effect_in_words(effect_size(values, held)),
            chance_in_words(chances[name]),
        ]
    return {**cells, reference: [*cells[reference], "*", "", "", ""]}


def _columns(runs: Runs, metric: str) -> Floats | None:
    """``[U, seeds]`` a metric of each user; None where a run has kept no ranks."""
    values = [kept_metrics(run, [metric]) for run in runs.values()]
    if any(one is None for one in values) or len({len(one) for one in values if one is not None}) != 1:
        return None
    return np.concatenate([one for one in values if one is not None], axis=1)


def _costs(runs: Sequence[RunResult]) -> list[str]:
    """Parameters, the best epoch and processor seconds of training, means over seeds; empty where unknown."""
    epochs = [run.best_epoch + 1 for run in runs if run.best_epoch is not None]
    seconds = [run.cpu_seconds for run in runs if run.cpu_seconds is not None]
    return [
        f"{runs[0].num_params:,}" if runs[0].num_params else "",
        f"{mean(epochs):.0f}" if epochs else "",
        f"{mean(seconds):.0f}" if seconds else "",
    ]
