"""One table of baselines and runs: test metrics, mean over seeds, standard deviation where there are several.

Of each data set the baselines come first, then runs grouped by setting, start (from scratch or pre-trained), model
and, where it differs, experiment. Pre-training runs have no test split and are listed below the table; other runs
without test metrics are counted there.
"""

import argparse

from rich.console import Console
from rich.table import Table
from rich.text import Text

from missrec_pl.report.runs.baseline_rows import BaselineRow
from missrec_pl.report.runs.collect import RunResult
from missrec_pl.report.runs.printing import make_console, markdown_row, short_name, with_deviation
from missrec_pl.report.runs.selection import add_run_arguments, chosen_metrics, chosen_runs
from missrec_pl.report.runs.summarise import RunRow, Summary, summarise
from missrec_pl.report.runs.variants import STARTS

_LABELS = ("Data", "Setting", "Start", "Model")
_PREFERRED_VALIDATION = "val/ndcg@10"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report table``."""
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the table to stdout.

    Raises:
        ConfigError: No metric is named.
        DataError: No results, or results that cannot stand in one table.
    """
    metrics = chosen_metrics(arguments)
    summary = summarise(chosen_runs(arguments.paths, arguments.where), metrics)
    if arguments.format == "markdown":
        print(to_markdown(summary))
    else:
        print_text(summary, make_console())


def print_text(summary: Summary, console: Console) -> None:
    """Print the table, baselines and runs of a data set apart, and below it what is no row."""
    if summary.baselines or summary.runs:
        table = Table(*_labels(summary))
        for name in _number_headers(summary):
            table.add_column(name, justify="right", no_wrap=True)
        for section in _sections(summary):
            for cells in section:
                table.add_row(*map(Text, cells))
            table.add_section()
        console.print(table)
    for line in _lines_below(summary):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def to_markdown(summary: Summary) -> str:
    """The same as a pipe table and a list below it."""
    blocks = []
    if summary.baselines or summary.runs:
        labels = _labels(summary)
        headers = [*labels, *_number_headers(summary)]
        rule = ["---"] * len(labels) + ["---:"] * (len(headers) - len(labels))
        rows = [cells for section in _sections(summary) for cells in section]
        blocks.append("\n".join(markdown_row(cells) for cells in [headers, rule, *rows]))
    if below := _lines_below(summary):
        blocks.append("\n".join(f"- {line}" for line in below))
    return "\n\n".join(blocks)


def _sections(summary: Summary) -> list[list[list[str]]]:
    """Rows of cells: of each data set its baselines, then its runs."""
    sections = []
    names = {row.data for row in summary.baselines} | {row.data for row in summary.runs}
    for data in sorted(names):
        sections.append([_baseline_cells(summary, row) for row in summary.baselines if row.data == data])
        sections.append([_run_cells(summary, row) for row in summary.runs if row.data == data])
    return [section for section in sections if section]


def _labels(summary: Summary) -> tuple[str, ...]:
    return (*_LABELS, "Experiment") if summary.experiments_differ else _LABELS


def _number_headers(summary: Summary) -> list[str]:
    return [*map(short_name, summary.metrics), "Seeds", "Seconds"]


def _baseline_cells(summary: Summary, row: BaselineRow) -> list[str]:
    labels = [row.data, "", "", row.name] + [""] * summary.experiments_differ
    return [*labels, *with_deviation(row.values, None), "", ""]


def _run_cells(summary: Summary, row: RunRow) -> list[str]:
    labels = [row.data, row.setting, STARTS[row.init], row.model] + [row.variant] * summary.experiments_differ
    return [*labels, *with_deviation(row.means, row.deviations), str(row.num_seeds), f"{row.seconds:.0f}"]


def _lines_below(summary: Summary) -> list[str]:
    return [*map(_pretraining_line, summary.pretraining), *summary.notes]


def _pretraining_line(result: RunResult) -> str:
    validation = [name for name in result.metrics if name.startswith("val/")]
    name = _PREFERRED_VALIDATION if _PREFERRED_VALIDATION in validation else next(iter(validation), None)
    value = "no validation metric" if name is None else f"{name} {result.metrics[name]:.4f}"
    return f"pretrain {result.data}: {result.model}, seed {result.seed}, {value}, {result.seconds:.0f} s"
