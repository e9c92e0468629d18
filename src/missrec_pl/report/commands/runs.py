"""The command of every kind of runs: what reruns it, with which seeds, and what it took.

Seconds are means over the seeds: of the fit as a clock on the wall shows them, and of the processors at work. Not
every run knows the latter: ``258 (1 of 3)`` is of one run.
"""

import argparse
from statistics import mean

from missrec_pl.errors import DataError
from missrec_pl.report.commands.base import Command, chosen_runs
from missrec_pl.report.output import Report
from missrec_pl.report.runs.command_lines import command_of
from missrec_pl.report.runs.records import EVALUATION
from missrec_pl.report.runs.seeds import Runs, by_seed


def _run(arguments: argparse.Namespace) -> Report:
    """A row per command, in the order of the data and of the commands."""
    found = chosen_runs(arguments.paths, arguments.where)
    trained = [run for run in found if run.phase != EVALUATION]
    if not trained:
        raise DataError(f"these {len(found)} are evaluations: name the folders of the runs that trained")
    num_left = len(found) - len(trained)
    groups = by_seed(((run.data, command_of(run)), run) for run in trained)
    headers = ["Data", "Command", "Seeds", "Epochs", "Seconds", "CPU seconds"]
    sections = [[[data, line, *_numbers(runs)]] for (data, line), runs in sorted(groups.items())]
    return Report(headers, sections, 2, [f"left out: {num_left} evaluations"] if num_left else [])


def _numbers(runs: Runs) -> list[str]:
    seeds = ", ".join(map(str, sorted(runs)))
    epochs = ", ".join(str(runs[seed].epochs) for seed in sorted(runs))
    known = [run.cpu_seconds for run in runs.values() if run.cpu_seconds is not None]
    cpu = f"{mean(known):.0f}" if known else ""
    if 0 < len(known) < len(runs):
        cpu += f" ({len(known)} of {len(runs)})"
    return [seeds, epochs, f"{mean(run.seconds for run in runs.values()):.0f}", cpu]


COMMAND = Command(__doc__, _run)
