"""What trains, from which random draws, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

from missrec_pl.errors import ConfigError


class TrainOnly(L.Callback):
    """Trains the named parts of the network (paper, 3.6); the rest is frozen and in eval mode (no dropout).

    Auxiliary scorers always train.

    Args:
        parts: beginnings of names of the network's weights, e.g. ``["encoder", "fusion"]``; ``"adapters"`` for
            what the network declares as such; None trains everything. Parts that this network only sometimes has
            (no ID table when inductive) are left out.
    """

    def __init__(self, parts: Sequence[str] | str | None = None) -> None:
        self.parts = parts if parts is None or isinstance(parts, str) else list(parts)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Freeze before the optimiser is built.

        Raises:
            ConfigError: a part is unknown, or nothing would train.
        """
        model: Any = pl_module.model
        prefixes = self._prefixes(model)
        if prefixes is None or stage != "fit":
            return
        for name, parameter in model.named_parameters():
            if not name.startswith(prefixes):
                parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in pl_module.parameters()):
            raise ConfigError(f"finetune.parts={self.parts} leaves nothing to train.")

    def _prefixes(self, model: Any) -> tuple[str, ...] | None:
        """What trains; None for everything."""
        if self.parts is None:
            return None
        if self.parts == "adapters":
            return tuple(model.adapters) or None
        if isinstance(self.parts, str):
            raise ConfigError(f"finetune.parts={self.parts}: must be a list of parts, adapters or null.")
        known = {name for name, _ in model.named_modules() if name}
        optional = {one.rstrip(".") for one in (*model.adapters, *model.may_differ)}
        if unknown := set(self.parts) - known - optional:
            raise ConfigError(
                f"finetune.parts names {sorted(unknown)}, which this network does not have: choose among "
                f"{sorted(name for name in known if '.' not in name)}."
            )
        return tuple(f"{part}." for part in self.parts)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the frozen parts into eval mode."""
        model: Any = pl_module.model
        if self._prefixes(model) is not None:
            _freeze_modes(model)

    on_train_start = on_train_epoch_start  # an epoch that is resumed does not start again


def _freeze_modes(module: nn.Module) -> None:
    """Eval mode for what does not train; a dropout goes with the weights named before it, else those behind it."""
    children = list(module.children())
    trains = [[parameter.requires_grad for parameter in child.parameters()] for child in children]
    for number, child in enumerate(children):
        beside = [*reversed(trains[: number + 1]), *trains[number + 1 :]]
        if not any(next(filter(None, beside), [True])):
            child.eval()
        elif not all(trains[number]):  # a part that trains as a whole keeps its dropout
            _freeze_modes(child)


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


class WeightAverage(EMAWeightAveraging):
    """Exponential moving average over steps, which is what is validated, kept and tested.

    Tables and counts are those of the last step. Small data is learned by heart within a few epochs, and the
    average varies less from step to step than the weights do (Polyak and Juditsky, *Acceleration of stochastic
    approximation by averaging*, 1992).

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
