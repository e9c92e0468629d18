"""One random stream per training step, so that a resumed run draws what an uninterrupted one would."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch


class StepSeed(L.Callback):
    """Seeds torch before every training step from (seed, epoch, batch, process).

    Checkpoints hold no random state, and Lightning draws from it at other moments after a resume. With a stream
    for every step, dropout and augmentation after a resume are the same as without the interruption, and two
    processes never share their dropout masks.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the step."""
        entropy = [self.seed, trainer.current_epoch, batch_idx, trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
