"""What trains, from which random draws, and what is kept of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

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

    Weights alone are averaged, where they are; tables and counts are those of the last step, and there is one copy
    of them. Small data is learned by heart within a few epochs, and the average varies less from step to step than
    the weights do (Polyak and Juditsky, *Acceleration of stochastic approximation by averaging*, 1992).

    Args:
        decay: share of the average that a step keeps; its memory is about ``1 / (1 - decay)`` steps.
    """

    def __init__(self, decay: float = 0.98) -> None:
        super().__init__(use_buffers=False, decay=decay)
        self.decay = decay

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Copy the weights; buffers stay with the network."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            for module in self._average_model.module.modules():
                module._buffers.clear()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Follow the weights to their device."""
        if self._average_model is not None:
            self._average_model.module.to(pl_module.device)

    on_sanity_check_start = on_train_start

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take a step into the average; nothing waits for the device."""
        if trainer.global_step <= self._latest_update_step:
            return
        self._latest_update_step = trainer.global_step
        assert self._average_model is not None
        average, weights = self._pairs(pl_module)
        if self._average_model.n_averaged == 0:
            torch._foreach_copy_(average, weights)
        else:
            torch._foreach_mul_(average, self.decay)
            torch._foreach_add_(average, torch._foreach_mul(weights, 1 - self.decay))
        self._average_model.n_averaged += 1

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The average takes the place of the weights; what is no weight stays."""
        current = checkpoint["state_dict"]
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        checkpoint["state_dict"] = {**current, **checkpoint["state_dict"]}

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from average and weights when a run is resumed; a test takes the average alone."""
        if trainer.state.fn == TrainerFn.FITTING:
            assert self._average_model is not None
            names = self._average_model.module.state_dict()
            average = {name: value for name, value in checkpoint["state_dict"].items() if name in names}
            super().on_load_checkpoint(trainer, pl_module, {**checkpoint, "state_dict": average})

    @torch.no_grad()
    def _swap_models(self, pl_module: L.LightningModule) -> None:
        average, weights = self._pairs(pl_module)
        kept = [one.clone() for one in average]
        torch._foreach_copy_(average, weights)
        torch._foreach_copy_(weights, kept)

    @torch.no_grad()
    def _copy_average_to_current(self, pl_module: L.LightningModule) -> None:
        average, weights = self._pairs(pl_module)
        torch._foreach_copy_(weights, average)

    def _pairs(self, pl_module: L.LightningModule) -> tuple[list[Tensor], list[Tensor]]:
        assert self._average_model is not None
        both = self._average_model.module.parameters(), pl_module.parameters()
        average, weights = ([weight.detach() for weight in one] for one in both)
        return average, weights
