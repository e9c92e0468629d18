"""One line per epoch, for logs that outlive a progress bar."""

from __future__ import annotations

import logging

import lightning as L

log = logging.getLogger(__name__)


class EpochLines(L.Callback):
    """Logs the epoch's losses and its validation scores beside the best so far.

    Args:
        monitor: the validation score that counts, higher is better.
    """

    def __init__(self, monitor: str = "val/ndcg@10") -> None:
        self.monitor = monitor
        self.best = float("-inf")

    def state_dict(self) -> dict[str, float]:
        """The best score, for a resumed run."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Take over the best score."""
        self.best = state_dict["best"]

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the line; validation of the epoch has run by now."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not trainer.is_global_zero:
            return
        parts = [f"{name} {value:.4f}" for name, value in metrics.items() if name.startswith("train/")]
        if self.monitor in metrics:
            mark = " *" if metrics[self.monitor] > self.best else ""
            self.best = max(self.best, metrics[self.monitor])
            parts.append(f"{self.monitor} {metrics[self.monitor]:.4f} (best {self.best:.4f}){mark}")
        log.info("epoch %d: %s", trainer.current_epoch, ", ".join(parts))
