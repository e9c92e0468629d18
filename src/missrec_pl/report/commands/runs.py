"""The command of every kind of runs: what reruns it, with which seeds, and what it took.

Seconds are means over the seeds: of the fit as a clock on the wall shows them, and of the processors at work. Not
every run knows the latter: ``258 (1 of 3)`` is of one run.
"""

import argparse
import shlex
from collections.abc import Sequence

from missrec_pl.errors import DataError
from missrec_pl.report.runs.collect import EVALUATION, PRETRAIN, RunResult
from missrec_pl.report.runs.printing import print_rows
from missrec_pl.report.runs.selection import add_run_arguments, chosen_runs
from missrec_pl.report.runs.summarise import by_seed

# Where a run lies, and how it came to its end: not what it is.
_OF_THE_MACHINE = ("paths.", "hydra.", "callbacks.progress", "resume=", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report runs``."""
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print a row per command, in the order of the data and of the commands.

    Raises:
        DataError: No results, or evaluations alone.
    """
    found = chosen_runs(arguments.paths, arguments.where)
    runs = [run for run in found if run.phase != EVALUATION]
    if not runs:
        raise DataError(f"these {len(found)} are evaluations: name the folders of the runs that trained")
    notes = [f"left out: {len(found) - len(runs)} evaluations"] if len(runs) < len(found) else []
    groups = by_seed(((run.data, command(run)), run) for run in runs)
    headers = ["Data", "Command", "Seeds", "Epochs", "Seconds", "CPU seconds"]
    rows = [[data, line, *_numbers(list(found.values()))] for (data, line), found in sorted(groups.items())]
    print_rows(headers, rows, num_labels=2, form=arguments.format, notes=notes)


def command(run: RunResult) -> str:
    """The command line that repeats a run, but for its seed and where things lie."""
    said = [word for word in run.overrides if not word.lstrip("+~").startswith(_OF_THE_MACHINE)]
    if run.experiment and not any(word.startswith("experiment=") for word in said):
        said.insert(0, f"experiment={run.experiment}")
    if run.phase == PRETRAIN and f"phase={PRETRAIN}" not in said:
        said.append(f"phase={PRETRAIN}")
    return shlex.join(["python", "train.py", *said])


def _numbers(runs: Sequence[RunResult]) -> list[str]:
    seeds = ", ".join(str(run.seed) for run in sorted(runs, key=lambda run: run.seed))
    epochs = ", ".join(str(run.epochs) for run in sorted(runs, key=lambda run: run.seed))
    known = [run.cpu_seconds for run in runs if run.cpu_seconds is not None]
    cpu = f"{sum(known) / len(known):.0f}" if known else ""
    if 0 < len(known) < len(runs):
        cpu += f" ({len(known)} of {len(runs)})"
    return [seeds, epochs, f"{sum(run.seconds for run in runs) / len(runs):.0f}", cpu]
