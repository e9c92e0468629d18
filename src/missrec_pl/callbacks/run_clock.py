"""Seconds and memory of a run, for results.json."""

from __future__ import annotations

import time

import lightning as L


class RunClock(L.Callback):
    """Measures fit, epochs (training and validation) and test in seconds.

    Of the fit also the processor seconds of this process, all threads: what a busy machine does not change.
    """

    def __init__(self) -> None:
        self.fit_seconds = 0.0
        self.fit_cpu_seconds = 0.0
        self.test_seconds = 0.0
        self.epoch_seconds: list[float] = []
        self._fit_start = self._fit_cpu_start = self._epoch_start = self._test_start = 0.0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the fit's clock."""
        self._fit_start = time.perf_counter()
        self._fit_cpu_start = time.process_time()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the fit's clock."""
        self.fit_seconds += time.perf_counter() - self._fit_start
        self.fit_cpu_seconds += time.process_time() - self._fit_cpu_start

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
