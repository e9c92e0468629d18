"""Metrics by groups of test users: how often the target was trained on, how long or redundant the history is.

The groups are ranges of whole numbers; ``--edges 1,5,10`` makes 0, 1-4, 5-9 and 10+. Redundancy is the mean
cosine of the history's items, in percent; users with a single item are left out. ``figure4`` prints the groups by
item frequency with the improvement over runs that know item IDs alone.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from missrec_pl.data.user_groups import RANGES, Ranges
from missrec_pl.errors import ConfigError
from missrec_pl.report.commands.base import Command, add_run_arguments, chosen_metrics, chosen_runs
from missrec_pl.report.output import Report, section, short_name, with_deviation
from missrec_pl.report.runs.collect import collect
from missrec_pl.report.runs.groups import Group, grouped, kinds_of_baselines, kinds_of_runs
from missrec_pl.report.runs.records import untested_note
from missrec_pl.report.runs.seeds import mean_and_deviation

_ONLY_IDS = "ID"  # input type of the runs that figure 4 compares the others with
_EDGES_HELP = "comma-separated ascending starts of the groups after the first"


def _run(arguments: argparse.Namespace) -> Report:
    """A row per group and kind of runs: users, means and deviations over seeds, improvements for figure 4."""
    metrics = chosen_metrics(arguments)
    runs = chosen_runs(arguments.paths, arguments.where)
    ranges = _ranges(arguments)
    kinds = kinds_of_runs(runs)
    if arguments.baselines:
        kinds += kinds_of_baselines(arguments.baselines, collect(arguments.paths), runs)
    sections = []
    for groups in grouped(kinds, ranges, metrics):
        rows = []
        for group in groups:
            improvements = _improvements(group, groups) if arguments.is_figure4 else []
            num_seeds = str(len(group.values)) if group.kind.input else ""  # baselines have no seeds
            means = with_deviation(*mean_and_deviation(group.values))
            rows.append([group.kind.name, *means, *improvements, num_seeds])
        first = groups[0]
        sections.append(section([first.kind.data, first.name, f"{first.num_users:,}"], rows))
    names, notes = [short_name(metric) for metric in metrics], untested_note(runs)
    headers = ["Data", arguments.by.replace("_", " ").capitalize(), "Users", "Runs", *names, "Seeds"]
    if arguments.is_figure4:
        headers[-1:-1] = [f"{name} over ID" for name in names]
        if not any(kind.input == _ONLY_IDS for kind in kinds):
            notes.insert(0, "no runs with item IDs alone (experiment=figure4/id_only): nothing to improve on")
    return Report(headers, sections, 4, notes)


def _improvements(group: Group, groups: Sequence[Group]) -> list[str]:
    """A cell per metric: how much better the group is than the runs that know item IDs alone."""
    base = next((other for other in groups if other.kind.input == _ONLY_IDS), group)
    means, others = (mean_and_deviation(one.values)[0] for one in (group, base))
    # Without a single hit there is nothing that a percentage could be of.
    return [
        f"{mean / other - 1:+.1%}" if other and base is not group else ""
        for mean, other in zip(means, others, strict=True)
    ]


def _ranges(arguments: argparse.Namespace) -> Ranges:
    """The ranges between the edges asked for, or the usual ones."""
    usual = RANGES[arguments.by]
    if arguments.edges is None:
        return usual
    words = [word.strip() for word in arguments.edges.split(",")]
    starts = [usual.least, *(int(word) for word in words if word.isdecimal())]
    if len(starts) <= len(words) or starts != sorted(set(starts)):
        raise ConfigError(
            f"--edges {arguments.edges}: give ascending whole numbers above {usual.least}, e.g. 5,10,20"
        )
    return replace(usual, edges=tuple(starts[1:]))


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.set_defaults(is_figure4=False)
    parser.add_argument("--by", choices=tuple(RANGES), required=True, help="what makes the groups")
    parser.add_argument("--edges", help=_EDGES_HELP)
    parser.add_argument(
        "--baselines",
        nargs="+",
        default=[],
        metavar="NAME",
        help="rows of these baselines too, from phase=baselines runs among the folders: hybrid_knn as the runs "
        "rank, hybrid_knn/history_excluded",
    )


def _add_figure4_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.set_defaults(is_figure4=True, by="item_frequency", baselines=[], metrics="recall@10")
    parser.add_argument("--edges", help=_EDGES_HELP)


GROUPS = Command(__doc__, _run, _add_arguments)
FIGURE4 = Command(
    "Recall@10 by item frequency (paper's figure 4), and its improvement over the runs that know item IDs alone.",
    _run,
    _add_figure4_arguments,
)
