"""One table of baselines and runs: test metrics, mean over seeds, standard deviation where there are several.

Baselines come first, then runs grouped by data, setting, start (from scratch or pre-trained) and model.
Pre-training runs have no test split and are listed below the table.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from missrec_pl.errors import ConfigError
from missrec_pl.report.collect import RunResult, collect
from missrec_pl.report.summarise import BaselineRow, RunRow, Summary, summarise

DEFAULT_METRICS = "recall@10,ndcg@10,recall@50,ndcg@50"

_LABELS = ("Data", "Setting", "Start", "Model")
_STARTS = {"scratch": "from scratch", "zero_shot": "zero-shot", "pretrained": "pre-trained"}
_SHORT_NAMES = {"recall": "R", "ndcg": "N"}
_PREFERRED_VALIDATION = "val/ndcg@10"
_WIDTH_WITHOUT_TERMINAL = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report table``."""
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="RUN_DIR_OR_RESULTS_JSON", help="searched recursively"
    )
    parser.add_argument("--format", choices=("text", "markdown"), default="text", help="default: %(default)s")
    parser.add_argument("--metrics", default=DEFAULT_METRICS, help="comma-separated; default: %(default)s")


def run(arguments: argparse.Namespace) -> None:
    """Print the table to stdout.

    Raises:
        ConfigError: No metric is named.
        DataError: No results, or results that cannot stand in one table.
    """
    metrics = [name for part in arguments.metrics.split(",") if (name := part.strip().removeprefix("test/"))]
    if not metrics:
        raise ConfigError("--metrics names no metric: write for example --metrics recall@10,ndcg@10")
    summary = summarise(collect(arguments.paths), list(dict.fromkeys(metrics)))
    if arguments.format == "markdown":
        print(to_markdown(summary))
    else:
        print_text(summary, Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL))


def print_text(summary: Summary, console: Console) -> None:
    """Print the table, baselines set apart by a rule, and below it one line per pre-training run."""
    if summary.baselines or summary.runs:
        table = Table(*_LABELS)
        for name in _number_headers(summary):
            table.add_column(name, justify="right", no_wrap=True)
        for row in summary.baselines:
            table.add_row(*map(Text, _baseline_cells(row)))
        table.add_section()
        for run_row in summary.runs:
            table.add_row(*map(Text, _run_cells(run_row)))
        console.print(table)
    for result in summary.pretraining:
        console.print(_pretraining_line(result), markup=False, highlight=False, soft_wrap=True)


def to_markdown(summary: Summary) -> str:
    """The same as a pipe table, and a list of the pre-training runs."""
    blocks = []
    if summary.baselines or summary.runs:
        headers = [*_LABELS, *_number_headers(summary)]
        rule = ["---"] * len(_LABELS) + ["---:"] * (len(headers) - len(_LABELS))
        rows = [*map(_baseline_cells, summary.baselines), *map(_run_cells, summary.runs)]
        blocks.append("\n".join(_markdown_row(cells) for cells in [headers, rule, *rows]))
    if summary.pretraining:
        blocks.append("\n".join(f"- {_pretraining_line(result)}" for result in summary.pretraining))
    return "\n\n".join(blocks)


def _number_headers(summary: Summary) -> list[str]:
    return [*map(_short, summary.metrics), "Seeds", "Seconds"]


def _short(metric: str) -> str:
    name, at, cutoff = metric.partition("@")
    return _SHORT_NAMES.get(name, name) + at + cutoff


def _baseline_cells(row: BaselineRow) -> list[str]:
    return [row.data, "", "", row.name, *(f"{value:.4f}" for value in row.values), "", ""]


def _run_cells(row: RunRow) -> list[str]:
    values = [f"{value:.4f}" for value in row.means]
    if row.deviations is not None:
        values = [f"{value} ± {spread:.4f}" for value, spread in zip(values, row.deviations, strict=True)]
    return [
        row.data,
        row.setting,
        _STARTS[row.init],
        row.model,
        *values,
        str(row.num_seeds),
        f"{row.seconds:.0f}",
    ]


def _pretraining_line(result: RunResult) -> str:
    validation = [name for name in result.metrics if name.startswith("val/")]
    name = _PREFERRED_VALIDATION if _PREFERRED_VALIDATION in validation else next(iter(validation), None)
    value = "no validation metric" if name is None else f"{name} {result.metrics[name]:.4f}"
    return f"pretrain {result.data}: {result.model}, seed {result.seed}, {value}, {result.seconds:.0f} s"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
