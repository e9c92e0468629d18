"""What trains: recipes for fine-tuning (paper, 3.6)."""

from __future__ import annotations

from collections.abc import Sequence

import lightning as L
from torch import nn

from missrec_pl.errors import ConfigError


class TrainOnly(L.Callback):
    """Trains the named parts of the network; the rest is frozen and in eval mode (no dropout).

    Args:
        parts: names of submodules of the network, e.g. ``["adapters", "fusion"]``; None trains everything.
            Parts that this network does not have (no ID table when inductive) are left out.
    """

    def __init__(self, parts: Sequence[str] | None = None) -> None:
        self.parts = None if parts is None else list(parts)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Freeze before the optimiser is built.

        Raises:
            ConfigError: a part is unknown, or nothing would train.
        """
        if self.parts is None or stage != "fit":
            return
        model: nn.Module = pl_module.model  # type: ignore[assignment]
        known = {name for name, _ in model.named_modules() if name}
        optional = {"id_embedding", "history_bias", "cooccurrence", "content"}
        if unknown := set(self.parts) - known - optional:
            raise ConfigError(
                f"finetune.parts names {sorted(unknown)}, which this network does not have: choose among "
                f"{sorted(name for name in known if '.' not in name)}."
            )
        for name, parameter in model.named_parameters():
            if not any(name.startswith(f"{part}.") for part in self.parts):
                parameter.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(f"finetune.parts={self.parts} leaves nothing to train.")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the frozen parts into eval mode: an epoch that is resumed does not start again."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the frozen parts into eval mode."""
        if self.parts is not None:
            _freeze_modes(pl_module.model)  # type: ignore[arg-type]


def _freeze_modes(module: nn.Module) -> None:
    for child in module.children():
        trains = [parameter.requires_grad for parameter in child.parameters()]
        if not any(trains):
            child.eval()
        elif not all(trains):  # a part that trains as a whole keeps its dropout
            _freeze_modes(child)
