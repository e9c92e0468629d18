"""A moving average of the weights, which is what is validated, kept and tested."""

from __future__ import annotations

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn


class WeightAverage(EMAWeightAveraging):
    """Exponential moving average over steps; tables and counts are those of the last step.

    Small data is learned by heart within a few epochs, and the average varies less from step to step than the
    weights do (Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992).

    Args:
        decay: share of the average that a step keeps; its memory is about ``1 / (1 - decay)`` steps.
    """

    def __init__(self, decay: float = 0.98) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from average and weights when a run is resumed; a test takes the average alone."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
