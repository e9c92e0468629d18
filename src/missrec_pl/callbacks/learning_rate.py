"""How learning rates go over a run."""

from __future__ import annotations

import math
from typing import Any

import lightning as L

from missrec_pl.errors import ConfigError


class WarmupCosine(L.Callback):
    """A linear rise to the optimiser's rates, then half a cosine down to nothing at the end of the run.

    Loshchilov and Hutter, *SGDR: stochastic gradient descent with warm restarts* (ICLR 2017), without restarts. A
    step's rates depend on its place in the run alone: a resumed run has those of an undisturbed one, and one that
    goes on to another ``trainer.max_epochs`` takes the places of the new length.

    Args:
        warmup: share of the steps that rise.

    Raises:
        ConfigError: ``warmup`` is no share.
    """

    def __init__(self, warmup: float = 0.1) -> None:
        if not 0 <= warmup < 1:
            raise ConfigError(f"callbacks.learning_rate.warmup={warmup}: must be a share, 0 <= warmup < 1.")
        self.warmup = warmup

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refuse a run without an end.

        Raises:
            ConfigError: neither ``trainer.max_epochs`` nor ``trainer.max_steps`` says how long the run is.
        """
        if (trainer.max_epochs is None or trainer.max_epochs < 0) and trainer.max_steps < 0:
            raise ConfigError(
                "callbacks.learning_rate falls to nothing at the end of the run, and this one has none: set "
                "trainer.max_epochs, or callbacks.learning_rate=null."
            )

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the rates of the step that this batch belongs to."""
        factor = self.factor(trainer.global_step, _num_steps(trainer))
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def factor(self, step: int, num_steps: int) -> float:
        """What the rates of a step are multiplied by.

        Args:
            step: 0 for the first.
            num_steps: steps of the whole run.
        """
        rising = math.ceil(self.warmup * num_steps)
        if step < rising:
            return (step + 1) / rising
        return (1 + math.cos(math.pi * (step - rising) / max(1, num_steps - rising))) / 2


def _num_steps(trainer: L.Trainer) -> int:
    """Optimiser steps of the whole run."""
    limit = trainer.max_steps if trainer.max_steps >= 0 else math.inf
    if trainer.max_epochs is None or trainer.max_epochs < 0:
        return int(limit)
    steps = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return int(min(limit, trainer.max_epochs * steps))
