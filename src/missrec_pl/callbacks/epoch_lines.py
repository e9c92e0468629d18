"""One line per epoch, for logs that outlive a progress bar."""

from __future__ import annotations

import logging

import lightning as L

log = logging.getLogger(__name__)


class EpochLines(L.Callback):
    """Logs the epoch's losses and its validation scores beside the best so far, and keeps the best epoch's scores.

    The score that counts is the one by which the best checkpoint is kept, or else training is stopped. Where an
    epoch is validated several times, each validation counts; of equal ones the first is the best.
    """

    def __init__(self) -> None:
        self.best: dict[str, float] = {}
        self._is_best_new = False

    def state_dict(self) -> dict[str, dict[str, float]]:
        """The best epoch's scores, for a resumed run."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, dict[str, float]]) -> None:
        """Take over the best epoch's scores."""
        self.best = state_dict["best"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the scores if they are the best so far, as the best checkpoint does."""
        if not trainer.sanity_checking:
            self._keep(_logged(trainer), *_monitored(trainer))

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the line; validation of the epoch has run by now."""
        metrics = _logged(trainer)
        parts = [f"{name} {value:.4f}" for name, value in metrics.items() if name.startswith("train/")]
        monitor, sign = _monitored(trainer)
        self._keep(metrics, monitor, sign)
        if monitor in metrics:
            mark = " *" if self._is_best_new else ""
            parts.append(f"{monitor} {metrics[monitor]:.4f} (best {self.best.get(monitor, 0):.4f}){mark}")
        if trainer.is_global_zero:
            log.info("epoch %d: %s", trainer.current_epoch, ", ".join(parts))
        self._is_best_new = False

    def _keep(self, metrics: dict[str, float], monitor: str, sign: int) -> None:
        if monitor not in metrics:
            return
        if monitor not in self.best or sign * metrics[monitor] > sign * self.best[monitor]:
            self.best = {name: value for name, value in metrics.items() if name.startswith("val/")}
            self._is_best_new = True


def _logged(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _monitored(trainer: L.Trainer) -> tuple[str, int]:
    """The name of the score that decides, and 1 if more is better, else -1; an empty name if none decides."""
    for callback in (*trainer.checkpoint_callbacks, *trainer.early_stopping_callbacks):
        if monitor := getattr(callback, "monitor", None):
            return str(monitor), -1 if getattr(callback, "mode", "max") == "min" else 1
    return "", 1
