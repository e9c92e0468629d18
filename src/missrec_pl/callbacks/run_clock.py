"""Seconds and memory of a run, for results.json."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


class RunClock(L.Callback):
    """Measures fit, epochs (training and validation) and test in seconds; what came before a resume counts.

    Of the fit also the processor seconds of this process, all threads: what a busy machine does not change.
    """

    def __init__(self) -> None:
        self.fit_seconds = 0.0
        self.fit_cpu_seconds = 0.0
        self.test_seconds = 0.0
        self.epoch_seconds: list[float] = []
        self._has_fitted = False
        self._fit_start = self._fit_cpu_start = self._epoch_start = self._test_start = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far, for a resumed run."""
        running = time.perf_counter() - self._fit_start if self._fit_start else 0.0
        cpu = time.process_time() - self._fit_cpu_start if self._fit_start else 0.0
        return {
            "fit_seconds": self.fit_seconds + running,
            "fit_cpu_seconds": self.fit_cpu_seconds + cpu,
            "epoch_seconds": self.epoch_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Add the seconds before the interruption; testing the best epoch's checkpoint does not turn time back."""
        if self._has_fitted:
            return
        self.fit_seconds, self.fit_cpu_seconds = state_dict["fit_seconds"], state_dict["fit_cpu_seconds"]
        self.epoch_seconds = list(state_dict["epoch_seconds"])

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the fit's clock."""
        self._fit_start = time.perf_counter()
        self._fit_cpu_start = time.process_time()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the fit's clock."""
        self.fit_seconds += time.perf_counter() - self._fit_start
        self.fit_cpu_seconds += time.process_time() - self._fit_cpu_start
        self._fit_start = 0.0
        self._has_fitted = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of an epoch that is resumed."""
        self._epoch_start = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start an epoch's clock."""
        self._epoch_start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop an epoch's clock; validation has run by now."""
        self.epoch_seconds.append(time.perf_counter() - self._epoch_start)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the test's clock."""
        self._test_start = time.perf_counter()

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the test's clock."""
        self.test_seconds += time.perf_counter() - self._test_start
