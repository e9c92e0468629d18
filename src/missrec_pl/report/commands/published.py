"""Commands ``table2`` to ``table5`` and ``released``: our runs beside the reported numbers."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from missrec_pl.errors import DataError
from missrec_pl.report.paper.layouts import ABLATIONS, RELEASED, TABLE2, TABLE3, TABLE4, TABLE5, Layout, Place
from missrec_pl.report.paper.reported import reported
from missrec_pl.report.runs.cells import Cell, Runs, Theirs, cell_rows
from missrec_pl.report.runs.collect import BASELINES, PRETRAIN, UNTESTED, RunResult
from missrec_pl.report.runs.printing import print_rows, short_name
from missrec_pl.report.runs.selection import add_run_arguments, chosen_metrics, chosen_runs
from missrec_pl.report.runs.summarise import by_seed
from missrec_pl.report.runs.variants import STARTS, changes, input_type, origin_in_words

_SUBSET, _FULL = "_mm_subset", "_mm_full"


class PublishedTable:
    """A command that prints a published table; its docstring is the help text."""

    def __init__(self, layout: Layout, summary: str) -> None:
        self.layout = layout
        self.__doc__ = summary

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""
        add_run_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> None:
        """Print ours, theirs and the difference, and say which runs were left out.

        Raises:
            ConfigError: No metric is named.
            DataError: No results, none of this table, or results that cannot stand in one table.
        """
        metrics = chosen_metrics(arguments)
        results = chosen_runs(arguments.paths, arguments.where)
        reasons = {run.path: _reason_to_leave_out(self.layout, run) for run in results}
        kept = [run for run in results if reasons[run.path] is None]
        left = Counter(reason for reason in reasons.values() if reason is not None)
        notes = [f"left out: {number} of {reason}" for reason, number in left.items()]
        if not kept:
            raise DataError(f"no run belongs to {self.layout.table}; {'; '.join(notes)} (docs/experiments.md)")
        headers = ["Data", "Row", "Numbers of", *map(short_name, metrics), "Seeds"]
        rows = cell_rows(published_cells(self.layout, kept, metrics), metrics)
        print_rows(headers, rows, num_labels=3, form=arguments.format, notes=notes)


def published_cells(layout: Layout, results: Sequence[RunResult], metrics: Sequence[str]) -> list[Cell]:
    """A cell per data set and row, reported or run."""
    keyed = []
    for run in results:
        place = layout.place(run)
        assert place is not None, "runs without a place are left out before"
        keyed.append(((run.data_name, place, _group_name(layout, run)), run))
    groups = by_seed(keyed, metrics)
    bases = {_group_name(layout, run): _base_name(layout, run) for run in results}
    cells = []
    for data in dict.fromkeys(name for name, _, _ in groups):
        theirs = _theirs(layout, data)
        run_here = sorted(place for name, place, _ in groups if name == data)
        needed = [held[0] for place in run_here if (held := layout.reference(place))]
        places = list(dict.fromkeys([*theirs, *needed, *run_here]))
        of_data: dict[Place, Cell] = {}
        for place in places:
            ours: dict[str, Runs] = {g: runs for (d, p, g), runs in groups.items() if (d, p) == (data, place)}
            of_data[place] = Cell(data, layout.name(place), ours, bases, theirs.get(place))
        for place, cell in of_data.items():
            held = layout.reference(place)
            if held is not None and held[0] in of_data:
                cell = replace(cell, reference=of_data[held[0]], reference_name=held[1])
            cells.append(cell)
    return cells


def _theirs(layout: Layout, data: str) -> dict[Place, Theirs]:
    """Reported numbers on the data, or else on the whole of the data that ours are a part of."""
    rows = [
        row for row in reported() if row.table == layout.table and row.variant in ("MISSRec", *STARTS, *ABLATIONS)
    ]
    whole = data.replace(_SUBSET, _FULL)
    if any(row.data == data for row in rows):
        return {(row.input, row.variant): Theirs(layout.source, row.metrics) for row in rows if row.data == data}
    source = f"{layout.source} on {whole}"
    return {(row.input, row.variant): Theirs(source, row.metrics, False) for row in rows if row.data == whole}


def _reason_to_leave_out(layout: Layout, run: RunResult) -> str | None:
    if not run.is_tested:
        return {PRETRAIN: "pre-training", BASELINES: "baselines alone"}.get(run.phase, UNTESTED)
    if run.protocol != layout.protocol:
        asked = ", ".join(layout.protocol) or "the default"
        return f"another protocol than {asked} ({', '.join(run.protocol) or 'the default'})"
    if not any(
        run.experiment == name or (name and run.experiment.startswith(f"{name}/")) for name in layout.experiments
    ):
        return f"experiment {run.experiment or 'none'}"
    if layout.place(run) is None:
        return f"{input_type(run)}, {STARTS[run.init]}, which has no row"
    return None


def _group_name(layout: Layout, run: RunResult) -> str:
    return ", ".join(filter(None, [_base_name(layout, run), origin_in_words(run)]))


def _base_name(layout: Layout, run: RunResult) -> str:
    start = [] if layout.by_start else [STARTS[run.init]]
    return ", ".join([layout.model(run), *start, *changes(run, said=("data.modalities",))])


COMMANDS = {
    "table2": PublishedTable(
        TABLE2, "Main comparison (paper's table 2): our runs, the paper's MISSRec, the difference."
    ),
    "table3": PublishedTable(
        TABLE3, "Input types (paper's table 3): our runs, the paper's MISSRec, the difference."
    ),
    "table4": PublishedTable(
        TABLE4, "Effect of pre-training (paper's table 4), ours seed by seed, and the paper's."
    ),
    "table5": PublishedTable(
        TABLE5, "Ablations (paper's table 5): ours and the paper's, each against its whole model."
    ),
    "released": PublishedTable(
        RELEASED, "The 20 released runs: ours under metrics.compat=true, theirs, the difference."
    ),
}
