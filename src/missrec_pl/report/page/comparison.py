"""Kinds of runs side by side on the same test users: groups of users, and paired differences with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.user_groups import RANGES
from missrec_pl.errors import DataError
from missrec_pl.report.page.facts import Facts, rounded
from missrec_pl.report.runs.baselines import check_same_histories
from missrec_pl.report.runs.bootstrap import bootstrap_means
from missrec_pl.report.runs.groups import Kind, grouped
from missrec_pl.report.runs.ranks import Ranks, check_same_targets, has_ranks, read_baseline_ranks, read_ranks
from missrec_pl.report.runs.records import BASELINES, RunResult
from missrec_pl.report.runs.seeds import mean_and_deviation

MOST_KINDS = 12  # of a data set: what one chart can show
_MOST_BASELINES = 3
_RESAMPLES = 4000
_LEVEL = 0.95
_SEED = 0

Labelled = tuple[RunResult, str]


@dataclass(frozen=True)
class Compared:
    """The kinds of one data set, best first by the main metric, baselines last; their users are the same."""

    data: str
    kinds: list[Kind]
    notes: list[str]


def compared(data: str, labelled: Sequence[Labelled], metric: str) -> Compared:
    """Read the ranks of the best kinds of runs on a data set; what cannot be compared is left out with a note."""
    by_label: dict[str, dict[int, RunResult]] = {}
    notes, num_without = [], 0
    for run, label in labelled:
        if run.data != data or not run.is_tested:
            continue
        if not has_ranks(run):
            num_without += 1
            continue
        seeds = by_label.setdefault(label, {})
        if run.seed in seeds:
            notes.append(f"{data}, {label}, seed {run.seed}: several runs, one of them is compared")
        if run.seed not in seeds or run.seconds > seeds[run.seed].seconds:
            seeds[run.seed] = run
    if num_without:
        notes.append(f"left out: {num_without} runs on {data} without test_ranks.parquet")
    order = sorted(by_label, key=lambda label: -_mean(by_label[label], metric))
    if len(order) > MOST_KINDS:
        notes.append(f"{data}: the {MOST_KINDS} best of {len(order)} kinds of runs are compared")
    kinds: list[Kind] = []
    origin: Ranks | None = None
    for label in order[:MOST_KINDS]:
        try:
            ranks = {seed: read_ranks(run) for seed, run in by_label[label].items()}
            for one in ranks.values():
                origin = one if origin is None else origin
                check_same_targets(origin, one)
            kinds.append(Kind(data, label, "run", ranks))
        except DataError as error:
            notes.append(f"left out: {label}: {error}")
    if origin is not None:
        kinds += _baselines([run for run, _ in labelled], data, origin, metric, notes)
    return Compared(data, kinds, notes)


def _mean(runs: dict[int, RunResult], metric: str) -> float:
    return mean(run.metrics.get(f"test/{metric}", 0.0) for run in runs.values())


def _baselines(runs: Sequence[RunResult], data: str, origin: Ranks, metric: str, notes: list[str]) -> list[Kind]:
    """The best baselines of a ``phase=baselines`` run on the same users."""
    for run in runs:
        if (run.phase, run.data) != (BASELINES, data):
            continue
        try:
            found = read_baseline_ranks(run)
            for ranks in found.values():
                check_same_targets(origin, ranks)
                check_same_histories(origin, ranks)
        except DataError as error:
            notes.append(f"left out: baselines of {data}: {error}")
            continue
        order = sorted(found, key=lambda name: -float(found[name].metrics([metric]).mean()))
        return [Kind(data, name, "", {0: found[name]}) for name in order[:_MOST_BASELINES]]
    return []


def group_facts(one: Compared, metrics: Sequence[str]) -> list[Facts]:
    """A value for each way to group users, group, kind and metric; files without a column give no groups."""
    facts: list[Facts] = []
    for way, ranges in RANGES.items():
        kinds = [
            kind for kind in one.kinds if all(ranges.column in ranks.columns for ranks in kind.ranks.values())
        ]
        for group in (group for groups in grouped(kinds, ranges, metrics) for group in groups):
            means, deviations = mean_and_deviation(group.values)
            values = dict(zip(metrics, map(rounded, means), strict=True))
            spread = dict(zip(metrics, map(rounded, deviations or [0.0] * len(metrics)), strict=True))
            shared = {"data": one.data, "way": way, "group": group.name, "order": group.number}
            facts.append(
                {**shared, "users": group.num_users, "kind": group.kind.name, "values": values, "spread": spread}
            )
    return facts


def pair_facts(one: Compared, metrics: Sequence[str]) -> list[Facts]:
    """Differences between each two kinds: per metric the mean, its interval, and the interval for all at once.

    Users are paired with themselves and runs with those of the same seed; baselines have no seed. The interval is
    the percentile interval of the users' mean under resampling, as of ``report paired``. The one for all at once
    holds for all differences of a metric together with 95 %: largest standardised deviation under resampling.
    """
    per_kind = [{seed: ranks.metrics(metrics) for seed, ranks in kind.ranks.items()} for kind in one.kinds]
    pairs = []
    for a, b in combinations(range(len(one.kinds)), 2):
        seeds = _common(one.kinds[a], one.kinds[b])
        if seeds:
            sides = [np.mean([_of_seed(per_kind[k], seed) for seed in seeds], axis=0) for k in (a, b)]
            pairs.append((a, b, seeds, *sides))
    if not pairs:
        return []
    differences = np.concatenate([ours - theirs for _, _, _, ours, theirs in pairs], axis=1)
    means = bootstrap_means(differences, _RESAMPLES, _SEED)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    spread = _for_all(means, differences.mean(0), len(metrics))
    facts = []
    for number, (a, b, seeds, ours, theirs) in enumerate(pairs):
        for place, metric in enumerate(metrics):
            column = number * len(metrics) + place
            difference = float((ours - theirs)[:, place].mean())
            values = {
                "ours": float(ours[:, place].mean()),
                "theirs": float(theirs[:, place].mean()),
                "difference": difference,
                "low": float(low[column]),
                "high": float(high[column]),
                "lowAll": difference - float(spread[column]),
                "highAll": difference + float(spread[column]),
            }
            names = {"a": one.kinds[a].name, "b": one.kinds[b].name, "metric": metric}
            numbers = {key: rounded(value) for key, value in values.items()}
            extent = {"seeds": len(seeds), "users": len(ours)}
            facts.append({"data": one.data, **names, **numbers, **extent})
    return facts


def _common(a: Kind, b: Kind) -> list[int]:
    if a.input and b.input:
        return sorted(a.ranks.keys() & b.ranks.keys())
    return sorted(a.ranks if a.input else b.ranks)


def _of_seed(by_seed: dict[int, NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
    return by_seed[seed] if seed in by_seed else by_seed[0]  # a baseline is the same for every seed


def _for_all(means: NDArray[np.float64], centre: NDArray[np.float64], num_metrics: int) -> NDArray[np.float64]:
    """``[C]`` half widths that hold for all columns of a metric at once."""
    deviation = means.std(axis=0)
    standard = np.abs(means - centre) / np.where(deviation > 0, deviation, 1)
    quantiles = [np.quantile(standard[:, place::num_metrics].max(1), _LEVEL) for place in range(num_metrics)]
    half: NDArray[np.float64] = deviation * np.tile(quantiles, len(deviation) // num_metrics)
    return half
