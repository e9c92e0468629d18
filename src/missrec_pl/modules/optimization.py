"""The optimiser of a training module and its schedule, from their configs and from a continued run."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import lightning as L
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from missrec_pl.modules.resumed_options import RATES, SCHEDULE, apply_values, configured_values, repeat_schedule
from missrec_pl.modules.schedules import OverTheRun

MakeOptimizer = Callable[[list[dict[str, Any]]], Optimizer]
MakeScheduler = Callable[[Optimizer], LRScheduler]


class Optimization:
    """Builds optimiser and schedule, and brings restored ones to what the config says now.

    Args:
        make_optimizer: builds the optimiser from parameter groups.
        make_scheduler: builds what changes the rates after every step; None keeps them.
        scorer_lr: learning rate of the scorers' scalars.
    """

    def __init__(
        self, make_optimizer: MakeOptimizer, make_scheduler: MakeScheduler | None, scorer_lr: float
    ) -> None:
        self.make_optimizer, self.make_scheduler, self.scorer_lr = make_optimizer, make_scheduler, scorer_lr
        self._values: list[dict[str, Any]] = []  # of each group, as the config has made them

    def configured(self, module: L.LightningModule, scorers: nn.Module) -> Any:
        """What Lightning's ``configure_optimizers`` gives: a group for the network, and one for its scorers.

        Frozen weights are in none.
        """
        ids = {id(parameter) for parameter in scorers.parameters()}
        network = [p for p in module.parameters() if p.requires_grad and id(p) not in ids]
        groups: list[dict[str, Any]] = [{"params": network}]
        if scalars := [p for p in scorers.parameters() if p.requires_grad]:
            groups.append({"params": scalars, "lr": self.scorer_lr, "weight_decay": 0.0})
        optimizer = self.make_optimizer(groups)
        self._values = configured_values(optimizer)
        if self.make_scheduler is None:
            return optimizer
        scheduler = self.make_scheduler(optimizer)
        if isinstance(scheduler, OverTheRun):
            scheduler.attach(module.trainer)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def settle(self, trainer: L.Trainer, changed: Collection[str]) -> None:
        """Before the first step: changed values are applied, and schedules learn the length of the run.

        Args:
            trainer: has restored what a checkpoint brings.
            changed: names of values (``lr``, ``scorer_lr``, ``betas``, ``schedule``, ...) that the config decides.

        Raises:
            CheckpointError: the changed optimiser needs state that the checkpoint does not have.
        """
        for optimizer in trainer.optimizers if changed else ():
            apply_values(optimizer, self._values, changed, self.make_optimizer)
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, OverTheRun):  # has its rates from the config anyway
                config.scheduler.settle(trainer.global_step)
            elif self.make_scheduler is not None and not {*RATES, SCHEDULE}.isdisjoint(changed):
                repeat_schedule(config.scheduler, self._values, self.make_scheduler)
