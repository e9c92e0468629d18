"""How learning rates go over a run."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import lightning as L
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from missrec_pl.errors import ConfigError


class OverTheRun(LambdaLR, ABC):
    """A schedule whose factors depend on a step's place in the whole run.

    A resumed run has the rates of an undisturbed one; one that goes on to another ``trainer.max_epochs`` takes the
    places of the new length.

    Args:
        optimizer: the optimiser whose rates change.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._trainer: L.Trainer | None = None
        super().__init__(optimizer, self._now)

    def attach(self, trainer: L.Trainer) -> None:
        """Follow a trainer.

        Raises:
            ConfigError: neither ``trainer.max_epochs`` nor ``trainer.max_steps`` says how long the run is.
        """
        if (trainer.max_epochs is None or trainer.max_epochs < 0) and trainer.max_steps < 0:
            raise ConfigError(
                "optim.scheduler falls to nothing at the end of the run, and this one has none: set "
                "trainer.max_epochs, or optim.scheduler=null."
            )
        self._trainer = trainer

    def settle(self, step: int) -> None:
        """Set the rates of the step that comes next."""
        self.last_epoch = step
        for group, rate in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = rate * self._now(step)

    def state_dict(self) -> dict[str, int]:
        """Only where the run stands: its length is the command's."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Take over where an interrupted run stood."""
        self.last_epoch = state_dict["last_epoch"]

    @abstractmethod
    def factor(self, step: int, num_steps: int) -> float:
        """What the rates of a step are multiplied by.

        Args:
            step: 0 for the first.
            num_steps: steps of the whole run.
        """

    def _now(self, step: int) -> float:
        if self._trainer is None or self._trainer.num_training_batches == float("inf"):
            return 1.0  # settled before the first step
        return self.factor(step, int(self._trainer.estimated_stepping_batches))


class WarmupCosine(OverTheRun):
    """A linear rise to the optimiser's rates, then half a cosine down to nothing at the end of the run.

    Loshchilov and Hutter, *SGDR: stochastic gradient descent with warm restarts* (ICLR 2017), without restarts.

    Args:
        optimizer: the optimiser whose rates change.
        warmup: share of the steps that rise.

    Raises:
        ConfigError: ``warmup`` is no share.
    """

    def __init__(self, optimizer: Optimizer, *, warmup: float = 0.1) -> None:
        if not 0 <= warmup < 1:
            raise ConfigError(f"optim.scheduler.warmup={warmup}: must be a share, 0 <= warmup < 1.")
        self.warmup = warmup
        super().__init__(optimizer)

    def factor(self, step: int, num_steps: int) -> float:
        """See :meth:`OverTheRun.factor`."""
        rising = math.ceil(self.warmup * num_steps)
        if step < rising:
            return (step + 1) / rising
        return (1 + math.cos(math.pi * (step - rising) / max(1, num_steps - rising))) / 2
