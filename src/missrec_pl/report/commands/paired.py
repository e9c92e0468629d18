"""Two kinds of runs compared user by user and seed by seed, with a bootstrap interval for each difference.

A's runs are paired with B's runs of the same seed, and users with themselves. A user's difference is the mean over
seeds; the interval is the percentile interval of the users' mean under resampling. B may be a simple baseline,
which is the same for every seed.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.commands.groups import kind_of
from missrec_pl.report.runs.baselines import baselines_beside, pick_baseline
from missrec_pl.report.runs.collect import RunResult, untested_note
from missrec_pl.report.runs.printing import print_rows, short_name
from missrec_pl.report.runs.ranks import Ranks, check_same_targets, has_ranks, read_ranks
from missrec_pl.report.runs.selection import add_run_arguments, add_where_argument, chosen_metrics, chosen_runs
from missrec_pl.report.runs.summarise import by_seed

BEST = "best"

_DRAWN_AT_ONCE = 2**15  # users, of a resample or of several


@dataclass(frozen=True)
class Comparison:
    """Outcome for one metric: means over users and seeds, and the interval of their difference."""

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report paired``."""
    add_run_arguments(parser)
    parser.add_argument(
        "--against",
        nargs="+",
        type=Path,
        metavar="RUN_DIR_OR_RESULTS_JSON",
        help="the runs B; default: A's folders",
    )
    add_where_argument(parser, "--against-where")
    parser.add_argument(
        "--against-baseline",
        metavar="NAME",
        help="B is this baseline of a phase=baselines run among B's folders: hybrid_knn as the run ranks, "
        "hybrid_knn/history_excluded, or 'best' for the one that is best for each metric under either protocol",
    )
    parser.add_argument("--resamples", type=int, default=10_000, help="of the bootstrap; default: %(default)s")
    parser.add_argument("--level", type=float, default=0.95, help="of the interval; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap; default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Print A, B, the difference A - B and its interval, per metric.

    Raises:
        ConfigError: An option out of range, or a metric that ranks do not give.
        DataError: Runs that are of several kinds, share no seed, or have no comparable ranks.
    """
    metrics = chosen_metrics(arguments)
    if arguments.resamples < 1 or not 0 < arguments.level < 1:
        raise ConfigError(
            f"--resamples {arguments.resamples} --level {arguments.level}: at least 1, and between 0 and 1"
        )
    runs = chosen_runs(arguments.paths, arguments.where)
    name, first = _one_kind("A", runs)
    others = chosen_runs(arguments.against or arguments.paths, arguments.against_where, "--against-where")
    if arguments.against_baseline is None:
        other_name, second = _one_kind("B", others)
        seeds = sorted(first.keys() & second.keys())
        if not seeds:
            raise DataError(f"A has seeds {sorted(first)}, B has seeds {sorted(second)}: none in common to pair")
        theirs = _mean_per_user(second, seeds, metrics, read_ranks(first[seeds[0]]))
        extent = _extent(len(theirs), seeds, first, second)
    else:
        seeds = sorted(first)
        other_name, theirs = _of_baseline(arguments.against_baseline, others, first[seeds[0]], metrics)
        extent = _extent(len(theirs), seeds, first, first)
    ours = _mean_per_user(first, seeds, metrics, read_ranks(first[seeds[0]]))
    values, differences = np.stack([ours.mean(0), theirs.mean(0)]), ours - theirs
    found = compare(metrics, values, differences, arguments.resamples, arguments.level, arguments.seed)
    headers = ["Metric", "A", "B", "A - B", f"{arguments.level:.0%} interval", "Holds 0"]
    notes = [f"A: {name}", f"B: {other_name}", extent]
    if len(seeds) == 1:
        notes.append("one seed: the interval leaves out how seeds differ")
    notes += untested_note({run.path: run for run in [*runs, *others]}.values())
    print_rows(headers, [_cells(one) for one in found], num_labels=1, form=arguments.format, notes=notes)


def _cells(one: Comparison) -> list[str]:
    return [
        short_name(one.metric),
        f"{one.first:.4f}",
        f"{one.second:.4f}",
        f"{one.difference:+.4f}",
        f"{one.low:+.4f} to {one.high:+.4f}",
        "yes" if one.low <= 0 <= one.high else "no",
    ]


def compare(
    metrics: Sequence[str],
    values: NDArray[np.float64],
    differences: NDArray[np.float64],
    resamples: int,
    level: float,
    seed: int,
) -> list[Comparison]:
    """Means and intervals.

    Args:
        metrics: names of the columns.
        values: ``[2, len(metrics)]`` means of A and of B.
        differences: ``[U, len(metrics)]`` A - B of each user, mean over seeds.
        resamples: number of resamples.
        level: of the interval, 0..1.
        seed: of the resampling.
    """
    means = bootstrap_means(differences, resamples, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    columns = zip(metrics, values[0], values[1], differences.mean(0), low, high, strict=True)
    return [Comparison(name, *map(float, numbers)) for name, *numbers in columns]


def bootstrap_means(differences: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """``[resamples, M]`` means over users ``[U, M]`` drawn with replacement."""
    random, num_users = np.random.default_rng(seed), len(differences)
    size = max(1, _DRAWN_AT_ONCE // num_users)
    means = []
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        drawn = random.integers(num_users, size=(count, num_users)) + num_users * np.arange(count)[:, None]
        times_drawn = np.bincount(drawn.ravel(), minlength=count * num_users).reshape(count, num_users)
        means.append(times_drawn @ differences / num_users)
    return np.concatenate(means)


def _one_kind(side: str, results: Sequence[RunResult]) -> tuple[str, Mapping[int, RunResult]]:
    tested = [run for run in results if run.is_tested]
    kinds = by_seed(((f"{run.data}, {kind_of(run)}", run) for run in tested), prefer=has_ranks)
    if len(kinds) != 1:
        named = "; ".join(kinds) or "runs that tested nobody"
        raise DataError(f"{side} has to be runs of one kind, choose with --where: it is {named}")
    return next(iter(kinds.items()))


def _mean_per_user(
    runs: Mapping[int, RunResult], seeds: Sequence[int], metrics: Sequence[str], origin: Ranks
) -> NDArray[np.float64]:
    """``[U, M]`` means over seeds of each user, who have to be those of ``origin``."""
    found = []
    for seed in seeds:
        ranks = read_ranks(runs[seed])
        check_same_targets(origin, ranks)
        found.append(ranks.metrics(metrics))
    mean: NDArray[np.float64] = np.mean(found, axis=0)
    return mean


def _of_baseline(
    name: str, results: Sequence[RunResult], run: RunResult, metrics: Sequence[str]
) -> tuple[str, NDArray[np.float64]]:
    """What B is called, and its metrics ``[U, M]`` for the users of a run."""
    baselines = baselines_beside(results, run)
    chosen = pick_baseline(name if name != BEST else next(iter(baselines), name), baselines)
    if name != BEST:
        return f"{run.data}, {name}", chosen.metrics(metrics)
    best = {}
    for metric in metrics:
        per_baseline = {one: ranks.metrics([metric])[:, 0] for one, ranks in baselines.items()}
        top = max(per_baseline, key=lambda one: per_baseline[one].mean())
        best[metric] = (top, per_baseline[top])
    names = "; ".join(f"{short_name(metric)} {top}" for metric, (top, _) in best.items())
    return f"{run.data}, the best baseline: {names}", np.stack([values for _, values in best.values()], axis=1)


def _extent(
    num_users: int, seeds: Sequence[int], first: Mapping[int, RunResult], second: Mapping[int, RunResult]
) -> str:
    text = f"{num_users:,} users, seeds {', '.join(map(str, seeds))}"
    alone = [
        f"seed {seed} of {side}"
        for side, runs in (("A", first), ("B", second))
        for seed in runs
        if seed not in seeds
    ]
    return text + (f"; without a partner and left out: {', '.join(alone)}" if alone else "")
