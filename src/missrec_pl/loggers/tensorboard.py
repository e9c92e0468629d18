"""TensorBoard curves, continued when the run is."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import loggers


class TensorBoardLogger(loggers.TensorBoardLogger):
    """Lightning's TensorBoardLogger, which would show the steps after the last checkpoint twice.

    Args:
        **kwargs: as of :class:`lightning.pytorch.loggers.TensorBoardLogger`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def continue_from(self, step: int) -> None:
        """Hide what was logged at ``step`` or later; see :class:`missrec_pl.loggers.Continuable`."""
        self._kwargs["purge_step"] = step
