"""One metric of baselines and runs as bars, a panel per data set, in an SVG.

Bars of runs are means over seeds with a line of one standard deviation to either side, labelled with what tells
the runs apart. Baselines are named ``hybrid_knn``, or ``hybrid_knn/history_excluded`` for the protocol where the
history's items are no candidates.
"""

import argparse
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.commands.base import Command, add_selection_arguments, chosen_runs
from missrec_pl.report.output import (
    COLOURS,
    DARK,
    GREY,
    HISTORY_EXCLUDED,
    check_out,
    require_matplotlib,
    short_name,
    write_whole,
)
from missrec_pl.report.runs.baselines import baseline_rows
from missrec_pl.report.runs.records import RunResult, untested_note
from missrec_pl.report.runs.seeds import RunRow, run_rows
from missrec_pl.report.runs.variants import STARTS

_BAR, _PANEL = 0.28, 0.9  # inches: height of a bar, and of what stands around the bars of a panel
_WIDTH = 8.0
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "missrec_pl", "font.family": "sans-serif"}


@dataclass(frozen=True)
class Bar:
    """One bar of a panel; baselines have no deviation and are grey."""

    label: str
    value: float
    deviation: float = 0.0
    is_baseline: bool = False


def _run(arguments: argparse.Namespace) -> None:
    """Draw the chart and say where it is."""
    out = check_out(arguments.out, ".svg")
    require_matplotlib()
    metric = arguments.metric.removeprefix("test/")
    results = chosen_runs(arguments.paths, arguments.where)
    panels = bars_by_data(results, metric, arguments.baselines)
    if not panels:
        raise DataError(f"none of {len(results)} runs tested a model or baselines: there is nothing to draw")
    if arguments.sort:
        panels = {data: sorted(bars, key=lambda bar: bar.value) for data, bars in panels.items()}
    write_whole(out, draw(panels, short_name(metric)))
    print("\n".join([f"written: {out}", *untested_note(results)]))


def bars_by_data(results: Sequence[RunResult], metric: str, baselines: Sequence[str]) -> dict[str, list[Bar]]:
    """The bars of each data set: baselines in the order asked for, then runs as ``report table`` orders them."""
    panels: dict[str, list[Bar]] = {}
    for data in dict.fromkeys(result.data for result in results if result.baselines):
        beside = [result for result in results if result.data == data and result.baselines]
        panels[data] = [bar for name in baselines for bar in _baseline_bars(beside, metric, name)]
    rows = run_rows(results, [metric])
    for row, label in zip(rows, _labels(rows), strict=True):
        deviation = row.deviations[0] if row.deviations else 0.0
        panels.setdefault(row.data, []).append(Bar(label, row.means[0], deviation))
    return panels


def _baseline_bars(results: Sequence[RunResult], metric: str, name: str) -> list[Bar]:
    plain = name.removesuffix(HISTORY_EXCLUDED)
    suffix = ", history excluded" if plain != name else ""
    if suffix and not metric.endswith(HISTORY_EXCLUDED):
        metric += HISTORY_EXCLUDED
        # Results of earlier versions lack it.
        results = [result for result in results if f"test/{metric}" in result.baselines.get(plain, {})] or results
    rows = baseline_rows(results, [metric], only=[plain])
    if not rows:
        raise ConfigError(f"--baselines {name}: {results[0].path} has {', '.join(results[0].baselines)}")
    return [Bar(row.name + suffix, row.values[0], is_baseline=True) for row in rows]


def _labels(rows: Sequence[RunRow]) -> list[str]:
    """What the rows differ in, the model where they differ in nothing or the row has nothing of it."""
    parts = [(row.model, row.setting, STARTS[row.init], row.variant) for row in rows]
    told = [len(set(column)) > 1 for column in zip(*parts, strict=True)]
    return [
        ", ".join(part for part, tells in zip(row, told, strict=True) if tells and part) or row[0] for row in parts
    ]


def draw(panels: dict[str, list[Bar]], metric: str) -> bytes:
    """The chart as an SVG; text stays text, and the same bars give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    heights = [_PANEL + _BAR * len(bars) for bars in panels.values()]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, sum(heights)), layout="constrained")
        axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
        for panel, (data, bars) in zip(axes, panels.items(), strict=True):
            colours = [GREY if bar.is_baseline else COLOURS[0] for bar in bars]
            values = [bar.value for bar in bars]
            panel.barh(range(len(bars)), values, color=colours, xerr=[bar.deviation for bar in bars], ecolor=DARK)
            panel.set_yticks(range(len(bars)), [bar.label for bar in bars], parse_math=False)
            panel.invert_yaxis()
            for place, bar in enumerate(bars):
                panel.text(0, place, f" {bar.value:.4f}", va="center", color="white", fontsize=9)
            panel.set_title(f"{data}: {metric}", loc="left", fontsize=10, parse_math=False)
            panel.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection_arguments(parser)
    parser.add_argument("--metric", default="ndcg@10", help="default: %(default)s")
    parser.add_argument(
        "--baselines",
        nargs="+",
        default=["hybrid_knn"],
        metavar="NAME",
        help="bars of these baselines; default: hybrid_knn",
    )
    parser.add_argument("--sort", action="store_true", help="the lowest bar of a panel first")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.svg", help="the picture")


COMMAND = Command(__doc__, _run, _add_arguments)
