"""Fits what a network and its scorers do not learn: interests before training epochs (paper, 3.3.1), the rest
once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch

from missrec_pl.nn.fitted import Fitted, FittingContext, refit
from missrec_pl.system.processes import Share

log = logging.getLogger(__name__)


class InterestRefresh(L.Callback):
    """Fits the fitted parts of a module: interest tables, pair counts, spectral embeddings, whitened features.

    A part fitted ``once`` is fitted before training, and before an evaluation where the checkpoint did not bring
    it. A part fitted every ``epoch`` is fitted on train epoch start; before an evaluation too if it is still empty
    (Lightning's sanity check, and zero-shot evaluation). All processes end with the same bits.

    Attributes:
        at_evaluation: it belongs to evaluations, too.

    Args:
        seed: given to what is fitted.
    """

    at_evaluation = True

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed
        self.seconds: list[float] = []
        self._has_fitted = False

    def state_dict(self) -> dict[str, list[float]]:
        """The refreshes' seconds so far, for a resumed run."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, list[float]]) -> None:
        """Take over the seconds before the interruption; testing the best epoch's checkpoint changes nothing."""
        if not self._has_fitted:
            self.seconds = list(state_dict["seconds"])

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Fit what is fitted once."""
        for module in _members(pl_module):
            for part in module.fitted_parts:
                if part.every == "once" and (stage == "fit" or part.is_empty):
                    start = time.perf_counter()
                    refit(part, self._context(trainer, module))
                    log.info("fitted %s, %.1f s", type(part).__name__, time.perf_counter() - start)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """From now on a checkpoint is loaded to be tested."""
        self._has_fitted = True

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refresh before every n-th epoch of a part."""
        for module in _members(pl_module):
            due = [part for part in _by_epoch(module) if trainer.current_epoch % part.every_n_epochs == 0]
            if due:
                for name, value in self.refresh(trainer, module, due).items():
                    module.epoch_means.add(name, torch.tensor(value, device=module.device), 1)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Refresh before an evaluation what is empty."""
        for module in _members(pl_module):
            if empty := [part for part in _by_epoch(module) if part.is_empty]:
                told = self.refresh(trainer, module, empty)
                log.info("first interest table: %s", {name: round(value, 4) for name, value in told.items()})

    on_test_start = on_predict_start = on_validation_start

    def refresh(self, trainer: L.Trainer, module: Any, parts: Sequence[Fitted] | None = None) -> dict[str, float]:
        """Renew some parts now, or all that are fitted every epoch.

        Returns:
            What the parts report, and the seconds.
        """
        start = time.perf_counter()
        told: dict[str, float] = {}
        for part in _by_epoch(module) if parts is None else parts:
            told |= refit(part, self._context(trainer, module))
        self.seconds.append(time.perf_counter() - start)
        return {**told, "interest/seconds": self.seconds[-1]}

    def _context(self, trainer: L.Trainer, module: Any) -> FittingContext:
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        return FittingContext(
            catalogue=datamodule.catalogue,
            training_parts=datamodule.sequences.training_parts,
            fold_of_user=datamodule.fold_of_user,
            items=module.encoded_chunks,
            seed=self.seed,
            share=Share.mine(),
        )


def _members(module: Any) -> list[Any]:
    """The modules that have fitted parts: several in an ensemble."""
    return list(getattr(module, "members", [module]))


def _by_epoch(module: Any) -> list[Fitted]:
    return [part for part in module.fitted_parts if part.every == "epoch"]
