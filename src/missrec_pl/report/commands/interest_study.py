"""Do interests pay? Ways to find prototypes, and their number, against one constant prototype, seed by seed.

Of experiment=interest_study and of runs without an experiment; ``--where experiment=NAME`` takes others, which
have to be the same but for their interests.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from missrec_pl.errors import DataError
from missrec_pl.report.runs.cells import Cell, cell_rows
from missrec_pl.report.runs.collect import RunResult, untested_note
from missrec_pl.report.runs.printing import print_rows, short_name
from missrec_pl.report.runs.selection import add_run_arguments, chosen_metrics, chosen_runs
from missrec_pl.report.runs.summarise import by_seed
from missrec_pl.report.runs.variants import STARTS, changes, origin_in_words

_NONE = "NoInterests"
_NAMES = {_NONE: "one prototype", "RandomTokens": "random", "KMeans": "k-means", "DPCKNN": "DPC-KNN"}
_EXPERIMENTS = ("", "interest_study")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report interest_study``."""
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print a row per way to find interests, and its paired differences from one prototype.

    Raises:
        ConfigError: No metric is named.
        DataError: No results, none that says its interests, or results that cannot stand in one table.
    """
    metrics = chosen_metrics(arguments)
    found = chosen_runs(arguments.paths, arguments.where)
    results = [run for run in found if run.is_tested]
    is_chosen = any(condition.startswith("experiment=") for condition in arguments.where)
    kept = [run for run in results if run.interest is not None and (is_chosen or run.experiment in _EXPERIMENTS)]
    if not kept:
        raise DataError(
            f"none of {len(results)} runs is of experiment=interest_study, or says which interests it used "
            "(docs/experiments.md)"
        )
    notes = [f"left out: {len(results) - len(kept)} runs of other experiments"] if len(kept) < len(results) else []
    notes += untested_note(found)
    headers = ["Data", "Interests", "Numbers of", *map(short_name, metrics), "Seeds"]
    print_rows(
        headers, cell_rows(study_cells(kept, metrics), metrics), num_labels=3, form=arguments.format, notes=notes
    )


def study_cells(results: Sequence[RunResult], metrics: Sequence[str]) -> list[Cell]:
    """A cell per data set and way to find interests, one prototype first, then by method and number."""
    groups = by_seed((((run.data, _interest(run), _group_name(run)), run) for run in results), metrics)
    bases = {_group_name(run): _base_name(run) for run in results}
    cells = []
    for data in dict.fromkeys(data for data, _, _ in groups):
        interests = sorted({interest for name, interest, _ in groups if name == data}, key=_order)
        ours = {
            interest: {name: runs for (d, i, name), runs in groups.items() if (d, i) == (data, interest)}
            for interest in interests
        }
        base = Cell(data, _NAMES[_NONE], ours.pop((_NONE, 0), {}), bases)
        cells.append(base)
        for interest, of_interest in ours.items():
            cell = Cell(data, _in_words(*interest), of_interest, bases)
            cells.append(replace(cell, reference=base, reference_name="against one prototype"))
    return cells


def _interest(run: RunResult) -> tuple[str, int | float]:
    """Method and number of prototypes; constant prototypes are one, whatever their number."""
    assert run.interest is not None, "runs that do not say it are left out before"
    method, number = run.interest
    return (method, 0) if method == _NONE else (method, number)


def _order(interest: tuple[str, int | float]) -> tuple[int, str, bool, float]:
    method, number = interest
    known = list(_NAMES)
    return known.index(method) if method in known else len(known), method, isinstance(number, int), number


def _in_words(method: str, number: int | float) -> str:
    count = f"{number}" if isinstance(number, int) else f"{number:.4g}" if number > 1 else f"{number:.4%}"
    return f"{_NAMES.get(method, method)}, {_without_zeros(count)}"


def _without_zeros(count: str) -> str:
    """``2.0000%`` as ``2 %``."""
    return f"{float(count[:-1]):g} %" if count.endswith("%") else count


def _group_name(run: RunResult) -> str:
    return _name(run, _changes(run), origin_in_words(run))


def _base_name(run: RunResult) -> str:
    """Without what else is said of interests: one prototype has no such choices."""
    return _name(run, [change for change in _changes(run) if not change.lstrip("+~").startswith("interest.")])


def _changes(run: RunResult) -> list[str]:
    return changes(run, said=("interest", "interest.num_prototypes"))


def _name(run: RunResult, changed: Sequence[str], origin: str = "") -> str:
    return ", ".join(filter(None, [run.model, run.setting, STARTS[run.init], *changed, origin]))
