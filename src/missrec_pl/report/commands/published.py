"""Commands ``table2`` to ``table5`` and ``released``: our runs beside the reported numbers."""

import argparse
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import mean

from missrec_pl.errors import DataError
from missrec_pl.report.commands.base import Command, chosen_metrics, chosen_runs
from missrec_pl.report.output import Report, section, short_name, with_deviation
from missrec_pl.report.paper.published import LAYOUTS, Layout, Place, reported
from missrec_pl.report.runs.baselines import baseline_rows
from missrec_pl.report.runs.cells import Cell, Theirs, by_data_and_row, cell_section
from missrec_pl.report.runs.compared import facts, headers
from missrec_pl.report.runs.records import BASELINES, PRETRAIN, UNTESTED, RunResult, Trial, with_metrics
from missrec_pl.report.runs.seeds import Runs
from missrec_pl.report.runs.trials import grid_shares, reported_runs, settings_in_words
from missrec_pl.report.runs.variants import STARTS, changes, input_type, origin_in_words

_TESTED_METRIC = "ndcg@10"
_OWN = "MISSRec"
_ALONE = "baselines alone"
_SUBSET, _FULL = "_mm_subset", "_mm_full"


def _run(layout: Layout, arguments: argparse.Namespace) -> Report:
    """Ours, theirs and the difference, with notes on the runs that are left out."""
    metrics = chosen_metrics(arguments)
    kept: list[tuple[Place, RunResult]] = []
    left: Counter[str] = Counter()
    results = chosen_runs(arguments.paths, arguments.where)
    found, lacking = with_metrics(reported_runs(results), metrics)
    for result in found:
        place = layout.place(result)
        if reason := _reason_to_leave_out(layout, result, place):
            left[reason] += 1
        elif place is not None:
            kept.append((place, result))
    if layout.is_compared and kept:
        del left[_ALONE]  # they stand below
    notes = [*(f"left out: {number} of {reason}" for reason, number in left.items()), *lacking]
    if not kept:
        raise DataError(f"no run belongs to {layout.table}; {'; '.join(notes)} (docs/experiments.md)")
    cells = _cells(layout, kept, metrics)
    more: list[str] = []
    if layout.is_compared:
        cells, more, said = _compared(cells, metrics, grid_shares(results))
        notes = [*said, *notes]
    sections = [cell_section(cell, metrics) for cell in cells]
    if layout.is_compared:
        sections += _simple_methods(results, {cell.data for cell in cells}, metrics, len(more))
    titles = ["Data", "Row", "Numbers of", *map(short_name, metrics), *more, "Seeds"]
    return Report(titles, sections, 3, notes)


def _compared(
    cells: Sequence[Cell], metrics: Sequence[str], shares: Mapping[str, str]
) -> tuple[list[Cell], list[str], list[str]]:
    """The cells with what `facts` says of each group, the headers of that, and notes."""
    metric = _TESTED_METRIC if _TESTED_METRIC in metrics else metrics[0]
    names, found, notes = headers(metric), [], []
    for data in dict.fromkeys(cell.data for cell in cells):
        of_data = [cell for cell in cells if cell.data == data]
        groups = {name: runs for cell in of_data for name, runs in cell.ours.items()}
        own = {name: runs for cell in of_data if _OWN in cell.name for name, runs in cell.ours.items()}
        reference = max(own, key=lambda name: _validation(own[name]), default=None)
        trials = {name: trial.column for name, runs in groups.items() if (trial := _trial_of(runs))}
        tried = {name: shares[column] for name, column in trials.items() if column in shares}
        cells_of = facts(groups, metric, reference, tried)
        found += [replace(cell, facts=cells_of, num_facts=len(names)) for cell in of_data]
        if reference is not None:
            notes.append(
                f"{data}, *: {reference}, the best of MISSRec's by validation; differences are of "
                f"{short_name(metric)}, d over the deviation of users; intervals: a bootstrap over users and a "
                "network's seeds, p: a permutation of both (one seed leaves out how seeds differ), corrected for "
                "the number of networks"
            )
    return found, names, notes


def _simple_methods(
    results: Sequence[RunResult], shown: Collection[str], metrics: Sequence[str], num_facts: int
) -> list[list[list[str]]]:
    """Sections of the simple methods, a data set each."""
    rows: dict[str, list[list[str]]] = {}
    for row in baseline_rows([run for run in results if run.data in shown], metrics):
        rows.setdefault(row.data, []).append([row.name, *with_deviation(row.values), *[""] * num_facts, ""])
    return [section([data, "simple methods"], of_data) for data, of_data in rows.items()]


def _validation(runs: Runs) -> float:
    return mean(run.metrics.get(f"val/{_TESTED_METRIC}", 0.0) for run in runs.values())


def _trial_of(runs: Runs) -> Trial | None:
    return next(iter(runs.values())).trial


def _cells(layout: Layout, placed: Sequence[tuple[Place, RunResult]], metrics: Sequence[str]) -> list[Cell]:
    """A cell per data set and row, reported or run."""
    keyed = [((run.data_name, place, _names(layout, run)[0]), run) for place, run in placed]
    bases = dict(_names(layout, run) for _, run in placed)
    cells = []
    for data, ours in by_data_and_row(keyed, metrics).items():
        theirs = _theirs(layout, data)
        needed = [held[0] for place in sorted(ours) if (held := layout.reference(place))]
        of_data = {
            place: Cell(data, layout.name(place), ours.get(place, {}), bases, theirs.get(place))
            for place in dict.fromkeys([*theirs, *needed, *sorted(ours)])
        }
        for place, cell in of_data.items():
            held = layout.reference(place)
            if held is not None and held[0] in of_data:
                cell = replace(cell, reference=of_data[held[0]], reference_name=held[1])
            cells.append(cell)
    return cells


def _theirs(layout: Layout, data: str) -> dict[Place, Theirs]:
    """Reported numbers on the data, or else on the whole data that ours are a subset of."""
    rows = [
        row
        for row in reported()
        if row.table == layout.table and (layout.variants is None or row.variant in layout.variants)
    ]
    is_same = any(row.data == data for row in rows)
    theirs = data if is_same else data.replace(_SUBSET, _FULL)
    source = layout.source if is_same else f"{layout.source} on {theirs}"
    return {(row.input, row.variant): Theirs(source, row.metrics, is_same) for row in rows if row.data == theirs}


def _reason_to_leave_out(layout: Layout, run: RunResult, place: Place | None) -> str | None:
    if not run.is_tested:
        return {PRETRAIN: "pre-training", BASELINES: _ALONE}.get(run.phase, UNTESTED)
    if run.protocol != layout.protocol:
        asked = ", ".join(layout.protocol) or "the default"
        return f"another protocol than {asked} ({', '.join(run.protocol) or 'the default'})"
    if run.experiment not in layout.experiments and run.experiment.partition("/")[0] not in layout.experiments:
        return f"experiment {run.experiment or 'none'}"
    if place is None:
        return f"{input_type(run)}, {STARTS[run.init]}, which has no row"
    return None


def _names(layout: Layout, run: RunResult) -> tuple[str, str]:
    """The name of a run's group; the same without what made the checkpoint, which a run from scratch lacks."""
    if run.trial is not None:
        name = settings_in_words(run.trial)
        return name, name
    start = [] if layout.by_start else [STARTS[run.init]]
    base = ", ".join([layout.model(run), *start, *changes(run, said=("data.modalities",))])
    return ", ".join(filter(None, [base, origin_in_words(run)])), base


COMMANDS = {layout.table: Command(layout.about, partial(_run, layout)) for layout in LAYOUTS}
