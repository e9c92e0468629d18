"""What trains: recipes for fine-tuning (paper, 3.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
from torch import nn

from missrec_pl.errors import ConfigError


class TrainOnly(L.Callback):
    """Trains the named parts of the network; the rest is frozen and in eval mode (no dropout).

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

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the frozen parts into eval mode: an epoch that is resumed does not start again."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the frozen parts into eval mode."""
        model: Any = pl_module.model
        if self._prefixes(model) is not None:
            _freeze_modes(model)


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
