"""Test users in groups: how often the target was trained on, how long or redundant the history is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from missrec_pl.data.user_groups import Ranges
from missrec_pl.errors import DataError
from missrec_pl.report.runs.baselines import (
    baselines_beside,
    check_same_histories,
    labelled,
    pick_baseline,
    rank_alike,
)
from missrec_pl.report.runs.ranks import Ranks, check_same_targets, has_ranks, read_ranks
from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.seeds import Runs, by_seed
from missrec_pl.report.runs.variants import input_type, kind_of


@dataclass(frozen=True)
class Kind:
    """Runs that differ in their seed alone, or one baseline."""

    data: str
    name: str  # in a table
    input: str  # `input_type` of the runs; empty for a baseline
    ranks: Mapping[int, Ranks]  # by seed; a baseline has one


@dataclass(frozen=True)
class Group:
    """Users of one range, as one kind ranks for them."""

    kind: Kind
    number: int  # of the range, from 0
    name: str  # of the range, e.g. 5-9
    num_users: int  # test users in the range
    values: list[list[float]]  # [S][M] means over the range's users, a row per seed


def grouped(kinds: Iterable[Kind], ranges: Ranges, metrics: Sequence[str]) -> list[list[Group]]:
    """Groups that have users, in a list per data set and range; there by input type and name.

    A `ConfigError` for a metric that ranks do not give, a `DataError` for ranks without a column.
    """
    groups = []
    for kind in kinds:
        found: dict[int, list[list[float]]] = {}
        sizes = {}
        for ranks in kind.ranks.values():
            number_of_user, per_user = ranges.of_users(ranks[ranges.column]), ranks.metrics(metrics)
            for number in np.unique(number_of_user[number_of_user >= 0]).tolist():
                chosen = number_of_user == number
                sizes[number] = int(chosen.sum())
                found.setdefault(number, []).append(per_user[chosen].mean(0).tolist())
        groups += [Group(kind, one, ranges.name(one), sizes[one], rows) for one, rows in found.items()]
    groups.sort(key=lambda group: (group.kind.data, group.number, group.kind.input, group.kind.name))
    place = groupby(groups, key=lambda group: (group.kind.data, group.number, group.num_users))
    return [list(same) for _, same in place]


def kinds_of_runs(results: Sequence[RunResult]) -> list[Kind]:
    """Tested runs by what they differ in beside the seed; a `DataError` without any, or for different targets."""
    kinds = tested_kinds(results)
    if not kinds:
        raise DataError("these are pre-training runs, which test nobody, or runs without a test: name tested runs")
    origins: dict[str, Ranks] = {}
    found = []
    for (data, name), runs in kinds.items():
        ranks = {seed: read_ranks(run) for seed, run in runs.items()}
        for one in ranks.values():
            check_same_targets(origins.setdefault(data, one), one)
        found.append(Kind(data, name, input_type(next(iter(runs.values()))), ranks))
    return found


def kinds_of_baselines(
    names: Sequence[str], results: Sequence[RunResult], runs: Sequence[RunResult]
) -> list[Kind]:
    """Baselines among the results on the data and modalities of the runs; errors as by `baselines_beside`."""
    found: dict[tuple[str, str], dict[tuple[str, ...], Ranks]] = {}
    for of_kind in tested_kinds(runs).values():
        run = next(iter(of_kind.values()))
        baselines = baselines_beside(results, run)
        for name in names:
            ranks = pick_baseline(name, baselines)
            check_same_histories(found.setdefault((run.data, name), {}).setdefault(run.modalities, ranks), ranks)
    return [
        Kind(data, label, "", {0: ranks})
        for (data, name), by_modalities in found.items()
        for label, ranks in labelled(name, by_modalities, rank_alike).items()
    ]


def tested_kinds(results: Iterable[RunResult]) -> dict[tuple[str, str], Runs]:
    """Tested runs by data and `kind_of`; of a run and its evaluation, the one with ranks. See `by_seed`."""
    tested = [run for run in results if run.is_tested]
    return dict(by_seed((((run.data, kind_of(run)), run) for run in tested), prefer=has_ranks))
