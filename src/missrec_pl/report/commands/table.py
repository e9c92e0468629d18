"""One table of baselines and runs: test metrics, mean over seeds, standard deviation where there are several.

Of each data set the baselines come first, then runs grouped by setting, start (from scratch or pre-trained), model
and, where it differs, experiment. Pre-training runs have no test split and are listed below the table; other runs
without test metrics are counted there.
"""

import argparse
from collections.abc import Sequence

from missrec_pl.report.commands.base import Command, chosen_metrics, chosen_runs
from missrec_pl.report.output import Report, short_name, with_deviation
from missrec_pl.report.runs.baselines import baseline_rows
from missrec_pl.report.runs.records import PRETRAIN, RunResult, untested_note
from missrec_pl.report.runs.seeds import run_rows
from missrec_pl.report.runs.variants import STARTS

_PREFERRED_VALIDATION = "val/ndcg@10"


def _run(arguments: argparse.Namespace) -> Report:
    """The table of the runs that are asked for."""
    metrics = chosen_metrics(arguments)
    return table_of(chosen_runs(arguments.paths, arguments.where), metrics)


def table_of(results: Sequence[RunResult], metrics: Sequence[str]) -> Report:
    """The table; baselines and runs of a data set are sections of their own. See `baseline_rows`, `run_rows`."""
    baselines, runs = baseline_rows(results, metrics), run_rows(results, metrics)
    experiments_differ = len({row.variant for row in runs}) > 1
    labels = ["Data", "Setting", "Start", "Model"] + ["Experiment"] * experiments_differ
    sections: dict[tuple[str, bool], list[list[str]]] = {}
    values: dict[tuple[str, bool], list[tuple[float, ...]]] = {}
    for one in baselines:
        values.setdefault((one.data, False), []).append(one.values)
        cells = [one.data, "", "", one.name] + [""] * experiments_differ
        sections.setdefault((one.data, False), []).append([*cells, *with_deviation(one.values), "", ""])
    for row in runs:
        values.setdefault((row.data, True), []).append(row.means)
        cells = [row.data, row.setting, STARTS[row.init], row.model] + [row.variant] * experiments_differ
        numbers = [*with_deviation(row.means, row.deviations), str(row.num_seeds), f"{row.seconds:.0f}"]
        sections.setdefault((row.data, True), []).append([*cells, *numbers])
    headers = [*labels, *map(short_name, metrics), "Seeds", "Seconds"]
    notes = [_pretraining_line(result) for result in results if result.phase == PRETRAIN]
    order = sorted(sections)
    ordered = [sections[key] for key in order]
    best = _best([(key[0], values[key]) for key in order], len(labels))
    return Report(headers, ordered, len(labels), [*notes, *untested_note(results)], best)


def _best(sections: Sequence[tuple[str, list[tuple[float, ...]]]], num_labels: int) -> set[tuple[int, int, int]]:
    """Cells of the best value of each metric on each data set; a section is its data and its rows' values."""
    tops: dict[tuple[str, int], float] = {}
    for data, rows in sections:
        for row in rows:
            for metric, value in enumerate(row):
                tops[data, metric] = max(value, tops.get((data, metric), value))
    return {
        (place, number, num_labels + metric)
        for place, (data, rows) in enumerate(sections)
        for number, row in enumerate(rows)
        for metric, value in enumerate(row)
        if value == tops[data, metric]
    }


def _pretraining_line(result: RunResult) -> str:
    validation = [name for name in result.metrics if name.startswith("val/")]
    name = _PREFERRED_VALIDATION if _PREFERRED_VALIDATION in validation else next(iter(validation), None)
    value = "no validation metric" if name is None else f"{name} {result.metrics[name]:.4f}"
    return f"pretrain {result.data}: {result.model}, seed {result.seed}, {value}, {result.seconds:.0f} s"


COMMAND = Command(__doc__, _run)
