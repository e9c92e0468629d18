"""Which runs a report is about: the command-line options that the commands share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from missrec_pl.errors import ConfigError
from missrec_pl.report.runs.collect import HISTORY_EXCLUDED, NoRunsError, RunResult, collect
from missrec_pl.report.runs.variants import input_type

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
    "interest": lambda run: "" if run.interest is None else run.interest[0],
    "prototypes": lambda run: "" if run.interest is None else str(run.interest[1]),
}


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the runs are and which of them are meant."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="RUN_DIR_OR_RESULTS_JSON", help="searched recursively"
    )
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
    facts = ", ".join(_FACTS)
    parser.add_argument(
        flag,
        nargs="+",
        default=[],
        metavar="FACT=VALUE",
        help=f"only runs with this {facts} (several with commas)",
    )


def chosen_runs(paths: Sequence[Path], where: Sequence[str], flag: str = "--where") -> list[RunResult]:
    """The runs below the paths that fit every condition.

    Raises:
        ConfigError: A condition about something that results do not say.
        NoRunsError: No results, or none that fits.
        DataError: A file is damaged.
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
        there = {fact: ", ".join(sorted({_FACTS[fact](run) for run in results})) for fact in conditions}
        raise NoRunsError(
            f"none of {len(results)} runs has {flag} {' '.join(where)}; there is "
            + "; ".join(f"{fact} {values or 'nothing'}" for fact, values in there.items())
        )
    return kept


def chosen_metrics(arguments: argparse.Namespace) -> list[str]:
    """The metrics that ``--metrics`` names, in order, without ``test/``.

    Raises:
        ConfigError: No metric is named.
    """
    given = _BOTH if arguments.metrics == "both" else arguments.metrics
    names = [name for part in given.split(",") if (name := part.strip().removeprefix("test/"))]
    if not names:
        raise ConfigError("--metrics names no metric: write for example --metrics recall@10,ndcg@10")
    return list(dict.fromkeys(names))
