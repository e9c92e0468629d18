"""TensorBoard curves, continued when the run is, with the HParams tab and figures."""

from __future__ import annotations

import importlib.util
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from missrec_pl.loggers.facts import Outcome, RunFacts, Table

_ROWS = 50  # of a table that is shown as text


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's TensorBoardLogger, which would show the steps after the last checkpoint twice."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"default_hp_metric": False, **options})
        self._config: dict[str, Any] = {}

    def continue_from(self, step: int) -> None:
        """Hide what was logged at ``step`` or later; see :class:`missrec_pl.loggers.Continuable`."""
        self._kwargs["purge_step"] = step

    @rank_zero_only
    def begin(self, facts: RunFacts) -> None:
        """Write who the run is; see :class:`missrec_pl.loggers.facts.Follower`."""
        self._config = {name: _plain(value) for name, value in facts.config.items() if value is not None}
        about = [["name", facts.name], ["group", facts.group], ["tags", ", ".join(facts.tags)]]
        shown = Table(["what", "value"], [*about, *([name, value] for name, value in self._config.items())])
        self.experiment.add_text("run", _markdown(shown))

    @rank_zero_only
    def finish(self, outcome: Outcome) -> None:
        """Write the HParams tab and the tables; see :class:`missrec_pl.loggers.facts.Follower`."""
        chosen = ("best/", "test/", "timing/fit_s", "params/")
        scores = {name: value for name, value in outcome.scalars.items() if name.startswith(chosen)}
        self.log_hyperparams(self._config, scores)
        rest = {name: value for name, value in outcome.scalars.items() if name not in scores}
        for name, value in rest.items():
            self.experiment.add_scalar(name, value)
        for name, table in outcome.tables.items():
            self.experiment.add_text(name, _markdown(table.plain()))
            if table.bar and importlib.util.find_spec("matplotlib") is not None:
                self.experiment.add_figure(name, _figure(name, table))
        self.experiment.flush()

    def fail(self, error: BaseException) -> None:
        """The curve so far is written; see :class:`missrec_pl.loggers.facts.Follower`."""

    @rank_zero_only
    def log_histogram(self, name: str, values: list[int], step: int) -> None:
        """Log how often each size occurs."""
        import numpy as np

        if values:
            self.experiment.add_histogram(name, np.asarray(values), step)


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)


def _markdown(table: Table) -> str:
    def cells(row: Any) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"

    lines = [cells(table.columns), cells(["---"] * len(table.columns)), *map(cells, table.rows[:_ROWS])]
    return "\n".join(lines)


def _figure(name: str, table: Table) -> Any:
    from matplotlib.figure import Figure

    place = list(table.columns).index(table.bar)
    figure = Figure(figsize=(7, 0.4 * len(table.rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    rows = range(len(table.rows))  # labels such as 1 and 5-9 are no numbers
    axes.barh(rows, [row[place] for row in table.rows], color="#0072B2")
    axes.set_yticks(rows, [str(row[0]) for row in table.rows])
    axes.invert_yaxis()
    axes.set_xlabel(table.bar)
    axes.set_title(name.replace("_", " "))
    return figure
