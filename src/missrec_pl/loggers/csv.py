"""The CSV of a run, continued when the run is."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from missrec_pl.loggers.facts import Outcome, RunFacts, Table
from missrec_pl.system.files import whole_file


class CSVLogger(loggers.CSVLogger):
    """Lightning's CSVLogger, which would delete the curve so far.

    Beside ``metrics.csv`` stand ``config.csv``, ``summary.csv`` and a file for each table of the run.
    """

    @rank_zero_only
    def begin(self, facts: RunFacts) -> None:
        """Write ``config.csv``; see :class:`missrec_pl.loggers.facts.Follower`."""
        about = {"name": facts.name, "group": facts.group, "tags": " ".join(facts.tags), "notes": facts.notes}
        self._write("config", Table(["name", "value"], [[*one] for one in {**about, **facts.config}.items()]))

    @rank_zero_only
    def finish(self, outcome: Outcome) -> None:
        """Write the numbers and the tables; see :class:`missrec_pl.loggers.facts.Follower`."""
        self._write("summary", Table(["name", "value"], [[*one] for one in outcome.scalars.items()]))
        for name, table in outcome.tables.items():
            self._write(name, table.plain())

    def fail(self, error: BaseException) -> None:
        """The curve so far is written; see :class:`missrec_pl.loggers.facts.Follower`."""

    def _write(self, name: str, table: Table) -> None:
        with whole_file(Path(self.log_dir) / f"{name}.csv") as part, part.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(table.columns)
            writer.writerows(table.rows)

    @rank_zero_only
    def continue_from(self, step: int) -> None:
        """Keep the rows before ``step``; see :class:`missrec_pl.loggers.Continuable`."""
        file = Path(self.log_dir) / "metrics.csv"
        part = file.with_name(".metrics.csv.part")
        if file.is_file():
            with file.open(newline="") as stream:
                reader = csv.DictReader(stream)
                rows = [row for row in reader if str(row.get("step")).isdecimal() and int(row["step"]) < step]
                names = list(reader.fieldnames or ["step"])
            with part.open("w", newline="") as stream:
                writer = csv.DictWriter(stream, names)
                writer.writeheader()
                writer.writerows(rows)
            file.unlink()  # Lightning's writer would, with a warning that everything is lost
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is not empty.*")
            writer_of_lightning: Any = self.experiment
        if part.is_file():
            with part.open(newline="") as stream:
                writer_of_lightning.metrics_keys = list(csv.DictReader(stream).fieldnames or [])
            part.replace(file)
