"""Do interests pay? Ways to find prototypes, and their number, against one constant prototype, seed by seed.

Of experiment=interest_study and of runs without an experiment; ``--where experiment=NAME`` takes others, which
have to be the same but for their interests. Runs of networks without interests are left out.
"""

import argparse
from collections.abc import Sequence

from missrec_pl.errors import DataError
from missrec_pl.report.commands.base import Command, chosen_metrics, chosen_runs
from missrec_pl.report.output import Report, short_name
from missrec_pl.report.runs.cells import Cell, by_data_and_row, cell_section
from missrec_pl.report.runs.records import RunResult, untested_note
from missrec_pl.report.runs.variants import STARTS, changes, origin_in_words

Interest = tuple[str, int | float]  # method and number (or share) of the prototypes

_NONE = "NoInterests"
_NAMES = {_NONE: "one prototype", "RandomTokens": "random", "KMeans": "k-means", "DPCKNN": "DPC-KNN"}
_EXPERIMENTS = ("", "interest_study")


def _run(arguments: argparse.Namespace) -> Report:
    """A row per way to find interests, and its paired differences from one prototype."""
    metrics = chosen_metrics(arguments)
    found = chosen_runs(arguments.paths, arguments.where)
    tested = [run for run in found if run.is_tested]
    is_chosen = any(condition.startswith("experiment=") for condition in arguments.where)
    asked = [run for run in tested if is_chosen or run.experiment in _EXPERIMENTS]
    kept = [run for run in asked if run.interest is not None]
    if not kept:
        raise DataError(
            f"none of {len(tested)} runs is of experiment=interest_study, or says which interests it used "
            "(docs/experiments.md)"
        )
    left = {"of other experiments": len(tested) - len(asked), "that name no interests": len(asked) - len(kept)}
    notes = [f"left out: {number} runs {why}" for why, number in left.items() if number]
    headers = ["Data", "Interests", "Numbers of", *map(short_name, metrics), "Seeds"]
    sections = [cell_section(cell, metrics) for cell in _cells(kept, metrics)]
    return Report(headers, sections, 3, notes + untested_note(found))


def _cells(results: Sequence[RunResult], metrics: Sequence[str]) -> list[Cell]:
    """A cell per data set and way to find interests, one prototype first, then by method and number."""
    keyed = [((run.data, _interest(run), _names(run)[0]), run) for run in results]
    bases = dict(map(_names, results))
    cells = []
    for data, ours in by_data_and_row(keyed, metrics).items():
        base = Cell(data, _NAMES[_NONE], ours.pop((_NONE, 0), {}), bases)
        cells.append(base)
        for interest in sorted(ours, key=_order):
            name, why = _in_words(*interest), "against one prototype"
            cells.append(Cell(data, name, ours[interest], bases, reference=base, reference_name=why))
    return cells


def _interest(run: RunResult) -> Interest:
    """Method and number of prototypes; constant prototypes are one, whatever their number."""
    assert run.interest is not None, "runs that do not say it are left out before"
    method, number = run.interest
    return (method, 0) if method == _NONE else (method, number)


def _order(interest: Interest) -> tuple[int, str, bool, float]:
    method, number = interest
    known = list(_NAMES)
    return known.index(method) if method in known else len(known), method, isinstance(number, int), number


def _in_words(method: str, number: int | float) -> str:
    if isinstance(number, int):
        count = str(number)
    else:
        count = f"{number:.4g}" if number > 1 else f"{round(100 * number, 4):g} %"
    return f"{_NAMES.get(method, method)}, {count}"


def _names(run: RunResult) -> tuple[str, str]:
    """The name of a run's group; the same without other choices of interests, which one prototype lacks."""
    changed = changes(run, said=("interest", "interest.num_prototypes"))
    shared = [change for change in changed if not change.lstrip("+~").startswith("interest.")]
    start = [run.model, run.setting, STARTS[run.init]]
    group, base = [*start, *changed, origin_in_words(run)], [*start, *shared]
    return ", ".join(filter(None, group)), ", ".join(filter(None, base))


COMMAND = Command(__doc__, _run)
