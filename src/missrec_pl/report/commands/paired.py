"""Two kinds of runs compared user by user and seed by seed: intervals, effect sizes and corrected tests.

A's runs are paired with B's runs of the same seed, and users with themselves. The interval is the percentile one
of a bootstrap over users and over seeds; p is of a permutation of both, corrected for the number of metrics
(Holm); d is the mean difference of users over its deviation. B may be a simple baseline, the same for every seed.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.commands.base import (
    RUNS,
    Command,
    add_run_arguments,
    add_where_argument,
    chosen_metrics,
    chosen_runs,
)
from missrec_pl.report.output import Report, short_name
from missrec_pl.report.runs.baselines import baselines_beside, pick_baseline
from missrec_pl.report.runs.bootstrap import (
    RESAMPLES,
    Floats,
    bootstrap_groups,
    chance_in_words,
    effect_in_words,
    effect_size,
    holm,
    interval_in_words,
    permutation_chance,
)
from missrec_pl.report.runs.groups import tested_kinds
from missrec_pl.report.runs.ranks import Ranks, check_same_targets, read_ranks
from missrec_pl.report.runs.records import RunResult, untested_note
from missrec_pl.report.runs.seeds import Runs

_BEST = "best"


def _run(arguments: argparse.Namespace) -> Report:
    """A, B, the difference A - B and its interval, per metric."""
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
        theirs = _of_users(second, seeds, metrics, read_ranks(first[seeds[0]]))
    else:
        second, seeds = first, sorted(first)
        other_name, theirs = _of_baseline(arguments.against_baseline, others, first[seeds[0]], metrics)
    ours = _of_users(first, seeds, metrics, read_ranks(first[seeds[0]]))
    notes = [f"A: {name}", f"B: {other_name}", _extent(len(theirs), seeds, first, second)]
    if len(seeds) == 1:
        notes.append("one seed: interval and p leave out how seeds differ")
    notes += untested_note({run.path: run for run in [*runs, *others]}.values())
    sections = [[row] for row in _rows(metrics, ours, theirs, arguments)]
    headers = ["Metric", "A", "B", "A - B", f"{arguments.level:.0%} interval", "d", "p", "p, Holm"]
    return Report(headers, sections, 1, notes)


def _rows(
    metrics: Sequence[str], ours: Floats, theirs: Floats, arguments: argparse.Namespace
) -> Iterator[list[str]]:
    """A row for each metric, of ``[U, S, M]`` ours, and theirs of as many seeds or of one for all."""
    gaps = {metric: (ours - theirs)[:, :, column] for column, metric in enumerate(metrics)}
    draws = (arguments.resamples, arguments.seed)
    drawn = bootstrap_groups(gaps, *draws)
    nothing = np.zeros((len(ours), 1))
    chances = {metric: permutation_chance(gap, nothing, *draws) for metric, gap in gaps.items()}
    corrected = holm(chances)
    for metric, a, b in zip(metrics, ours.mean((0, 1)), theirs.mean((0, 1)), strict=True):
        yield [
            *(short_name(metric), f"{a:.4f}", f"{b:.4f}", f"{a - b:+.4f}"),
            interval_in_words(drawn[metric], arguments.level, signed=True),
            effect_in_words(effect_size(gaps[metric], nothing)),
            *(chance_in_words(chance) for chance in (chances[metric], corrected[metric])),
        ]


def _one_kind(side: str, results: Sequence[RunResult]) -> tuple[str, Runs]:
    kinds = {", ".join(kind): runs for kind, runs in tested_kinds(results).items()}
    if len(kinds) != 1:
        named = "; ".join(kinds) or "runs that tested nobody"
        raise DataError(f"{side} has to be runs of one kind, choose with --where: it is {named}")
    return next(iter(kinds.items()))


def _of_users(runs: Runs, seeds: Sequence[int], metrics: Sequence[str], origin: Ranks) -> Floats:
    """``[U, S, M]`` metrics of each user with each seed; users have to be those of ``origin``."""
    of_seeds = [read_ranks(runs[seed]) for seed in seeds]
    for ranks in of_seeds:
        check_same_targets(origin, ranks)
    return np.stack([ranks.metrics(metrics) for ranks in of_seeds], axis=1)


def _of_baseline(
    name: str, results: Sequence[RunResult], run: RunResult, metrics: Sequence[str]
) -> tuple[str, Floats]:
    """What B is called, and its metrics ``[U, 1, M]`` for the users of a run."""
    baselines = baselines_beside(results, run)
    if name != _BEST or not baselines:
        return f"{run.data}, {name}", pick_baseline(name, baselines).metrics(metrics)[:, None]
    tops, columns = [], []
    for metric in metrics:
        per_baseline = {one: ranks.metrics([metric])[:, 0] for one, ranks in baselines.items()}
        top = max(per_baseline, key=lambda one: per_baseline[one].mean())
        tops.append(f"{short_name(metric)} {top}")
        columns.append(per_baseline[top])
    return f"{run.data}, the best baseline: {'; '.join(tops)}", np.stack(columns, axis=1)[:, None]


def _extent(num_users: int, seeds: Sequence[int], first: Runs, second: Runs) -> str:
    sides = (("A", first), ("B", second))
    alone = [f"seed {seed} of {side}" for side, runs in sides for seed in runs if seed not in seeds]
    text = f"{num_users:,} users, seeds {', '.join(map(str, seeds))}"
    return text + (f"; without a partner and left out: {', '.join(alone)}" if alone else "")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--against", nargs="+", type=Path, metavar=RUNS, help="the runs B; default: A's folders")
    add_where_argument(parser, "--against-where")
    parser.add_argument(
        "--against-baseline",
        metavar="NAME",
        help="B is this baseline of a phase=baselines run among B's folders: hybrid_knn as the run ranks, "
        "hybrid_knn/history_excluded, or 'best' for the one that is best for each metric under either protocol",
    )
    parser.add_argument(
        "--resamples", type=int, default=RESAMPLES, help="of bootstrap and permutation; default: %(default)s"
    )
    parser.add_argument("--level", type=float, default=0.95, help="of the interval; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of the draws; default: %(default)s")


COMMAND = Command(__doc__, _run, _add_arguments)
