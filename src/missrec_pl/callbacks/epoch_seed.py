"""One random stream per epoch, so that a resumed run draws what an uninterrupted one would."""

from __future__ import annotations

import lightning as L
import numpy as np
import torch


class EpochSeed(L.Callback):
    """Seeds torch before every training epoch from (seed, epoch, process).

    Checkpoints hold no random state. With a stream of its own for every epoch, dropout after a resume is the
    same as without the interruption, and two processes never share their dropout masks.

    Args:
        seed: the run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seed the epoch."""
        stream = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(stream.generate_state(1)[0]))
