"""Metrics by groups of test users: how often the target was trained on, how long or redundant the history is.

The groups are ranges of whole numbers; ``--edges 1,5,10`` makes 0, 1-4, 5-9 and 10+. Redundancy is the mean
cosine of the history's items, in percent; users with a single item are left out.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.runs.baseline_rows import labelled
from missrec_pl.report.runs.baselines import are_alike, baselines_beside, check_same_histories, pick_baseline
from missrec_pl.report.runs.collect import RunResult, collect, untested_note
from missrec_pl.report.runs.printing import print_rows, short_name, with_deviation
from missrec_pl.report.runs.ranks import Ranks, check_same_targets, has_ranks, read_ranks
from missrec_pl.report.runs.selection import add_run_arguments, chosen_metrics, chosen_runs
from missrec_pl.report.runs.summarise import by_seed
from missrec_pl.report.runs.values import mean_and_deviation
from missrec_pl.report.runs.variants import STARTS, input_type, origin_in_words, variant

ITEM_FREQUENCY, HISTORY_LENGTH, REDUNDANCY = "item_frequency", "history_length", "redundancy"
# The paper's figure 4 names no ranges; these leave a readable number of users in each on its data.
EDGES = {ITEM_FREQUENCY: (1, 5, 10, 20, 50), HISTORY_LENGTH: (3, 5, 10, 20), REDUNDANCY: (40, 50, 60, 70)}

_LEAST = {ITEM_FREQUENCY: 0, HISTORY_LENGTH: 1, REDUNDANCY: 0}


@dataclass(frozen=True)
class Group:
    """Users of one range, under one kind of runs.

    Attributes:
        data: The data set.
        number: Of the range, from 0 up.
        name: The range, e.g. ``5-9``.
        num_users: Test users in the range.
        kind: What the runs are called.
        input: Their input type; see `input_type`.
        by_seed: ``[M]`` means over the range's users, per seed.
    """

    data: str
    number: int
    name: str
    num_users: int
    kind: str
    input: str
    by_seed: Mapping[int, NDArray[np.float64]]

    def mean_and_deviation(self) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
        """Over seeds; see `values.mean_and_deviation`."""
        return mean_and_deviation([values.tolist() for values in self.by_seed.values()])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report groups``."""
    add_run_arguments(parser)
    parser.add_argument("--by", choices=tuple(EDGES), required=True, help="what makes the groups")
    add_edges_argument(parser)
    parser.add_argument(
        "--baselines",
        nargs="+",
        default=[],
        metavar="NAME",
        help="rows of these baselines too, from phase=baselines runs among the folders: hybrid_knn as the runs "
        "rank, hybrid_knn/history_excluded",
    )


def add_edges_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--edges``."""
    parser.add_argument("--edges", help="comma-separated ascending starts of the groups after the first")


def run(arguments: argparse.Namespace) -> None:
    """Print a row per group and kind of runs: users, then means and deviations over seeds.

    Raises:
        ConfigError: Unusable edges, or a metric that ranks do not give.
        DataError: No results, no ranks, or runs of different targets.
    """
    metrics = chosen_metrics(arguments)
    runs = chosen_runs(arguments.paths, arguments.where)
    edges = edges_of(arguments, arguments.by)
    groups = grouped(runs, arguments.by, edges, metrics)
    if arguments.baselines:
        results = collect(arguments.paths)
        groups = _in_order(
            [*groups, *_of_baselines(arguments.baselines, results, runs, arguments.by, edges, metrics)]
        )
    rows = [
        [*labels, *with_deviation(*group.mean_and_deviation()), str(len(group.by_seed) if group.input else "")]
        for labels, group in zip(row_labels(groups), groups, strict=True)
    ]
    headers = [
        "Data",
        arguments.by.replace("_", " ").capitalize(),
        "Users",
        "Runs",
        *map(short_name, metrics),
        "Seeds",
    ]
    print_rows(headers, rows, num_labels=4, form=arguments.format, notes=untested_note(runs))


def row_labels(groups: Sequence[Group]) -> list[list[str]]:
    """Data, range, users and kind of each row; what the row above has said already is left out."""
    shared = [[group.data, group.name, f"{group.num_users:,}"] for group in groups]
    return [
        [*(labels if not at or labels != shared[at - 1] else [""] * len(labels)), group.kind]
        for at, (labels, group) in enumerate(zip(shared, groups, strict=True))
    ]


def edges_of(arguments: argparse.Namespace, by: str) -> tuple[int, ...]:
    """The edges asked for, or the usual ones.

    Raises:
        ConfigError: Not ascending whole numbers above the least value.
    """
    if arguments.edges is None:
        return EDGES[by]
    words = [word.strip() for word in arguments.edges.split(",")]
    edges = tuple(int(word) for word in words if word.isdecimal())
    if len(edges) < len(words) or any(a >= b for a, b in zip((_LEAST[by], *edges), edges, strict=False)):
        raise ConfigError(
            f"--edges {arguments.edges}: give ascending whole numbers above {_LEAST[by]}, e.g. 5,10,20"
        )
    return edges


def grouped(results: Sequence[RunResult], by: str, edges: Sequence[int], metrics: Sequence[str]) -> list[Group]:
    """All groups that have users, by data set, range and kind of runs.

    Raises:
        DataError: No test results, no ranks, or runs on the same data with different targets.
    """
    kinds = _kinds(results)
    if not kinds:
        raise DataError("these are pre-training runs, which test nobody, or runs without a test: name tested runs")
    origins: dict[str, Ranks] = {}
    groups = []
    for (data, kind), runs in kinds.items():
        run = next(iter(runs.values()))
        found: dict[int, dict[int, NDArray[np.float64]]] = {}
        for seed, result in runs.items():
            ranks = read_ranks(result)
            check_same_targets(origins.setdefault(data, ranks), ranks)
            sizes, means = _means_by_group(ranks, by, edges, metrics)
            for one, mean in means.items():
                found.setdefault(one, {})[seed] = mean
        groups += [
            Group(data, one, _range_name(one, edges, by), sizes[one], kind, input_type(run), values)
            for one, values in found.items()
        ]
    return _in_order(groups)


def _kinds(results: Sequence[RunResult]) -> dict[tuple[str, str], dict[int, RunResult]]:
    """Tested runs by data and kind, and by their seed."""
    tested = [run for run in results if run.is_tested]
    return by_seed((((run.data, kind_of(run)), run) for run in tested), prefer=has_ranks)


def _in_order(groups: Sequence[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (group.data, group.number, group.input, group.kind))


def _of_baselines(
    names: Sequence[str],
    results: Sequence[RunResult],
    runs: Sequence[RunResult],
    by: str,
    edges: Sequence[int],
    metrics: Sequence[str],
) -> list[Group]:
    """Groups of the baselines on the data and modalities of the runs; without an input type they stand first."""
    found: dict[tuple[str, str], dict[tuple[str, ...], Ranks]] = {}
    for of_kind in _kinds(runs).values():
        run = next(iter(of_kind.values()))
        baselines = baselines_beside(results, run)
        for name in names:
            ranks = pick_baseline(name, baselines)
            check_same_histories(found.setdefault((run.data, name), {}).setdefault(run.modalities, ranks), ranks)
    groups = []
    for (data, name), by_modalities in found.items():
        for label, ranks in labelled(name, by_modalities, are_alike).items():
            sizes, means = _means_by_group(ranks, by, edges, metrics)
            groups += [
                Group(data, one, _range_name(one, edges, by), sizes[one], label, "", {0: mean})
                for one, mean in means.items()
            ]
    return groups


def _means_by_group(
    ranks: Ranks, by: str, edges: Sequence[int], metrics: Sequence[str]
) -> tuple[dict[int, int], dict[int, NDArray[np.float64]]]:
    """Number of users and mean metrics of each group that has users."""
    numbers = _numbers(ranks, by)
    group = np.where(numbers < 0, -1, np.searchsorted(np.asarray(edges), numbers, side="right"))
    per_user = ranks.metrics(metrics)
    found = np.unique(group[group >= 0]).tolist()
    return {one: int((group == one).sum()) for one in found}, {
        one: per_user[group == one].mean(0) for one in found
    }


def _numbers(ranks: Ranks, by: str) -> NDArray[np.int64]:
    if by == HISTORY_LENGTH:
        return ranks.history_length
    numbers, column = (ranks.redundancy, "redundancy") if by == REDUNDANCY else (ranks.item_count, "item_count")
    if numbers is None:
        raise DataError(f"{ranks.path} lacks {column}: test the run's checkpoint again with eval.py")
    return numbers


def kind_of(run: RunResult) -> str:
    """What runs that differ in their seed alone are called."""
    parts = [input_type(run), run.model, STARTS[run.init], variant(run), origin_in_words(run)]
    return ", ".join(filter(None, parts))


def _range_name(group: int, edges: Sequence[int], by: str) -> str:
    low = edges[group - 1] if group else _LEAST[by]
    if group == len(edges):
        return f"{low}+"
    return f"{low}" if edges[group] - 1 == low else f"{low}-{edges[group] - 1}"
