"""TensorBoard curves, continued when the run is."""

from __future__ import annotations

from lightning.pytorch import loggers


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's TensorBoardLogger, which would show the steps after the last checkpoint twice."""

    def continue_from(self, step: int) -> None:
        """Hide what was logged at ``step`` or later; see :class:`missrec_pl.loggers.Continuable`."""
        self._kwargs["purge_step"] = step
