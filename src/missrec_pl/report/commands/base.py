"""What the commands share: their form, the options that say which runs a report is about, the runs so chosen."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import ConfigError
from missrec_pl.report.output import HISTORY_EXCLUDED, Report
from missrec_pl.report.runs.collect import NoRunsError, collect
from missrec_pl.report.runs.records import RunResult
from missrec_pl.report.runs.variants import input_type

RUNS = "RUN_DIR_OR_RESULTS_JSON"
DEFAULT_METRICS = "recall@10,ndcg@10,recall@50,ndcg@50"
_BOTH = ",".join([DEFAULT_METRICS, *(name + HISTORY_EXCLUDED for name in DEFAULT_METRICS.split(","))])

_FACTS: dict[str, Callable[[RunResult], str]] = {
    "data": lambda run: run.data,
    "phase": lambda run: run.phase,
    "setting": lambda run: run.setting,
    "init": lambda run: run.init,
    "model": lambda run: run.model,
    "input": input_type,
    "experiment": lambda run: run.experiment,
    "seed": lambda run: str(run.seed),
    "interest": lambda run: run.interest[0] if run.interest else "",
    "prototypes": lambda run: str(run.interest[1]) if run.interest else "",
}


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the runs are and which of them are meant."""
    parser.add_argument("paths", nargs="+", type=Path, metavar=RUNS, help="searched recursively")
    add_where_argument(parser, "--where")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the runs are, which of them are meant, and how to print."""
    add_selection_arguments(parser)
    parser.add_argument("--format", choices=("text", "markdown"), default="text", help="default: %(default)s")
    parser.add_argument(
        "--metrics",
        default=DEFAULT_METRICS,
        help="comma-separated; ndcg@10/history_excluded where the history's items are no candidates, and 'both' "
        f"for {DEFAULT_METRICS} of both kinds; default: %(default)s",
    )


def add_where_argument(parser: argparse.ArgumentParser, flag: str) -> None:
    """Declare a filter of runs."""
    about = f"only runs with this {', '.join(_FACTS)} (several with commas)"
    parser.add_argument(flag, nargs="+", default=[], metavar="FACT=VALUE", help=about)


@dataclass(frozen=True)
class Command:
    """A command of ``python -m missrec_pl.report``.

    ``run`` makes the report to print, or prints and writes files itself. It raises a `ConfigError` for a wrong
    option, a `DataError` for results and a `CheckpointError` for a checkpoint that cannot be used.
    """

    about: str | None  # the help text is its first line
    run: Callable[[argparse.Namespace], Report | None]
    add_arguments: Callable[[argparse.ArgumentParser], None] = add_run_arguments


def make_parser(commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """The parser of some commands; ``arguments.command`` names the one."""
    parser = argparse.ArgumentParser(prog="python -m missrec_pl.report", description="Reports on finished runs.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in commands.items():
        summary = (command.about or "").partition("\n")[0]
        command.add_arguments(subparsers.add_parser(name, help=summary, description=summary))
    return parser


def chosen_runs(paths: Sequence[Path], where: Sequence[str], flag: str = "--where") -> list[RunResult]:
    """The runs below the paths that fit every condition.

    A `ConfigError` for a condition about something that results do not say, a `NoRunsError` without results that
    fit, a `DataError` for a damaged file.
    """
    conditions = {}
    for condition in where:
        fact, _, values = condition.partition("=")
        if fact not in _FACTS or not values:
            raise ConfigError(f"{flag} {condition}: write FACT=VALUE with one of {', '.join(_FACTS)}")
        conditions[fact] = values.split(",")
    results = collect(paths)
    kept = [run for run in results if all(_FACTS[fact](run) in values for fact, values in conditions.items())]
    if not kept:
        there = {fact: sorted({_FACTS[fact](run) for run in results} - {""}) for fact in conditions}
        raise NoRunsError(
            f"none of {len(results)} runs has {flag} {' '.join(where)}; there is "
            + "; ".join(f"{fact} {', '.join(values) or 'nothing'}" for fact, values in there.items())
        )
    return kept


def chosen_metrics(arguments: argparse.Namespace) -> list[str]:
    """The metrics that ``--metrics`` names, in order, without ``test/``; a `ConfigError` if it names none."""
    given = _BOTH if arguments.metrics == "both" else arguments.metrics
    names = [name for part in given.split(",") if (name := part.strip().removeprefix("test/"))]
    if not names:
        raise ConfigError("--metrics names no metric: write for example --metrics recall@10,ndcg@10")
    return list(dict.fromkeys(names))
