"""MLflow: the same facts as parameters, tags, metrics and tables of one MLflow run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from missrec_pl.errors import ConfigError
from missrec_pl.loggers.facts import Outcome, RunFacts
from missrec_pl.system.files import whole_file

NOTE = "mlflow_run.json"
_LONGEST = 500  # characters of a parameter


class MLFlowLogger(loggers.MLFlowLogger):
    """Lightning's MLFlowLogger, which knows what a run is and goes on with it.

    Args:
        folder: of the run: a note there says which MLflow run it is.
        **options: as of :class:`lightning.pytorch.loggers.MLFlowLogger`.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(self, *, folder: str, **options: Any) -> None:
        if importlib.util.find_spec("mlflow") is None:
            raise ConfigError('logger=mlflow needs MLflow: pip install "missrec-pl[mlflow]"')
        super().__init__(**options)
        self._folder = Path(folder)

    def continue_from(self, step: int) -> None:
        """Go on with the MLflow run of this folder; see :class:`missrec_pl.loggers.Continuable`."""
        note = self._folder / NOTE
        if note.is_file():
            self._run_id = json.loads(note.read_text(encoding="utf-8"))["id"]

    @rank_zero_only
    def begin(self, facts: RunFacts) -> None:
        """Log parameters and tags; see :class:`missrec_pl.loggers.facts.Follower`."""
        self._run_name = facts.name
        client, run = self.experiment, self.run_id
        tags = {"job_type": facts.job_type, "group": facts.group, **dict.fromkeys(facts.tags, "")}
        if facts.notes:
            tags["mlflow.note.content"] = facts.notes
        for name, value in tags.items():
            client.set_tag(run, name, value)
        known = client.get_run(run).data.params  # a parameter is said once
        for name, value in facts.config.items():
            if name not in known:
                client.log_param(run, name, str(value)[:_LONGEST])
        with whole_file(self._folder / NOTE) as part:
            part.write_text(json.dumps({"id": run}) + "\n", encoding="utf-8")

    @rank_zero_only
    def finish(self, outcome: Outcome) -> None:
        """Log the numbers and the tables; see :class:`missrec_pl.loggers.facts.Follower`."""
        client, run = self.experiment, self.run_id
        for name, value in outcome.scalars.items():
            client.log_metric(run, name.replace("@", "_at_"), value)
        for name, table in outcome.tables.items():
            plain = table.plain()
            content = {"columns": list(plain.columns), "data": [list(row) for row in plain.rows]}
            client.log_dict(run, content, f"tables/{name}.json")
        client.set_terminated(run, "FINISHED")

    @rank_zero_only
    def fail(self, error: BaseException) -> None:
        """Mark the run; see :class:`missrec_pl.loggers.facts.Follower`."""
        if self._run_id is not None:
            self.experiment.set_terminated(self._run_id, "FAILED")

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Log a step; MLflow takes no ``@`` in names."""
        super().log_metrics({name.replace("@", "_at_"): value for name, value in metrics.items()}, step)
