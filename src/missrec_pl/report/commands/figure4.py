"""Recall@10 by item frequency (paper's figure 4), and its improvement over the runs that know item IDs alone."""

import argparse
from collections.abc import Sequence

from missrec_pl.report.commands.groups import (
    ITEM_FREQUENCY,
    Group,
    add_edges_argument,
    edges_of,
    grouped,
    row_labels,
)
from missrec_pl.report.runs.collect import untested_note
from missrec_pl.report.runs.printing import print_rows, short_name, with_deviation
from missrec_pl.report.runs.selection import add_run_arguments, chosen_metrics, chosen_runs

_BASE = "ID"  # input type of the runs that the others are compared with


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report figure4``."""
    add_run_arguments(parser)
    parser.set_defaults(metrics="recall@10")
    add_edges_argument(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print a row per frequency group and kind of runs: test users, Recall@10, relative improvement.

    Raises:
        ConfigError: Unusable edges, or a metric that ranks do not give.
        DataError: No results, no ranks, or runs of different targets.
    """
    metrics = chosen_metrics(arguments)
    results = chosen_runs(arguments.paths, arguments.where)
    groups = grouped(results, ITEM_FREQUENCY, edges_of(arguments, ITEM_FREQUENCY), metrics)
    bases = {(group.data, group.number): group for group in reversed(groups) if group.input == _BASE}
    notes = [] if bases else ["no runs with item IDs alone (experiment=figure4/id_only): nothing to improve on"]
    notes += untested_note(results)
    rows = []
    for labels, group in zip(row_labels(groups), groups, strict=True):
        means, deviations = group.mean_and_deviation()
        improvements = _improvements(means, group, bases.get((group.data, group.number)))
        rows.append([*labels, *with_deviation(means, deviations), *improvements, str(len(group.by_seed))])
    names = [short_name(metric) for metric in metrics]
    headers = ["Data", "Item frequency", "Users", "Runs", *names, *(f"{name} over ID" for name in names), "Seeds"]
    print_rows(headers, rows, num_labels=4, form=arguments.format, notes=notes)


def _improvements(means: Sequence[float], group: Group, base: Group | None) -> list[str]:
    if base is None or group is base:
        return [""] * len(means)
    others, _ = base.mean_and_deviation()
    # Without a single hit there is nothing that a percentage could be of.
    return [f"{mean / other - 1:+.1%}" if other else "" for mean, other in zip(means, others, strict=True)]
