"""Limits of a run as they are meant: at least one batch, and an end within an epoch that is validated, too."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L

log = logging.getLogger(__name__)

_STAGES = {
    "fit": (("limit_train_batches", "train_dataloader"), ("limit_val_batches", "val_dataloader")),
    "validate": (("limit_val_batches", "val_dataloader"),),
    "test": (("limit_test_batches", "test_dataloader"),),
}


class Limits(L.Callback):
    """A share of the batches is at least one batch, and a run of ``max_steps`` ends as an epoch does.

    Lightning refuses a share of less than one batch. At its own ``max_steps`` it stops without validation, so that
    nothing is kept.

    Args:
        max_steps: optimiser steps of the run; -1 for no limit.
    """

    def __init__(self, max_steps: int = -1) -> None:
        self.max_steps = max_steps

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Raise shares to a batch."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        for limit, loader in _STAGES.get(stage, ()):
            share = getattr(trainer, limit)
            if not isinstance(share, float) or not 0 < share < 1:
                continue
            batches = getattr(data, loader)()
            if batches and share * len(batches) < 1:
                log.info("trainer.%s=%s of %d batches is less than one: one is taken", limit, share, len(batches))
                setattr(trainer, limit, 1)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run behind the last step; Lightning then validates and keeps what is best."""
        if 0 <= self.max_steps <= trainer.global_step:
            trainer.should_stop = True
