"""What a run says about itself: in its log, in its checkpoints, and in seconds."""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

import lightning as L
import torch

from missrec_pl.checkpoints.files import RECORD, SCHEMA_VERSION

log = logging.getLogger(__name__)


class ComputeLine(L.Callback):
    """Logs once a run its device, processes, threads and precision; warns of more threads than cores.

    torch takes a thread per core unless ``OMP_NUM_THREADS`` says otherwise. Where Lightning starts several
    processes it shares the cores out among them; ``torchrun`` gives each process one thread.
    """

    def __init__(self) -> None:
        self._is_said = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the line."""
        if self._is_said:
            return
        self._is_said = True
        device = pl_module.device
        threads, cores = torch.get_num_threads(), usable_cores()
        log.info(
            "compute: %s, %d process%s of %d thread%s on %d cores, %s, float32 products %s",
            torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            trainer.world_size,
            "" if trainer.world_size == 1 else "es",
            threads,
            "" if threads == 1 else "s",
            cores,
            trainer.precision,
            torch.get_float32_matmul_precision(),
        )
        local = trainer.world_size // trainer.num_nodes
        if device.type == "cpu" and threads > 1 and threads * local > cores:
            log.warning(
                "%d processes of %d threads are more than %d cores, which slows all of them down: set "
                "OMP_NUM_THREADS=%d or lower trainer.devices.",
                local,
                threads,
                cores,
                max(1, cores // local),
            )

    on_test_start = on_fit_start  # where nothing is trained


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class EpochLines(L.Callback):
    """Logs the epoch's losses and its validation scores beside the best so far, and keeps the best epoch's scores.

    Loggers get the best so far as ``best/...``, which sweeps go by. The score that counts is the one by which the
    best checkpoint is kept, or else training is stopped. Where an epoch is validated several times, each
    validation counts; of equal ones the first is the best.
    """

    def __init__(self) -> None:
        self.best: dict[str, float] = {}
        self.best_epoch: int | None = None
        self._is_best_new = False

    def state_dict(self) -> dict[str, Any]:
        """The best epoch and its scores, for a resumed run."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best epoch and its scores."""
        self.best = state_dict["best"]
        self.best_epoch = state_dict.get("best_epoch")

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the scores if they are the best so far, as the best checkpoint does."""
        if not trainer.sanity_checking:
            self._keep(_logged(trainer), *_monitored(trainer), epoch=trainer.current_epoch)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the line; validation of the epoch has run by now."""
        metrics = _logged(trainer)
        parts = [f"{name} {value:.4f}" for name, value in metrics.items() if name.startswith("train/")]
        monitor, sign = _monitored(trainer)
        self._keep(metrics, monitor, sign, epoch=trainer.current_epoch)
        if monitor in metrics:
            mark = " *" if self._is_best_new else ""
            parts.append(f"{monitor} {metrics[monitor]:.4f} (best {self.best.get(monitor, 0):.4f}){mark}")
        pl_module.log_dict({name.replace("val/", "best/", 1): value for name, value in self.best.items()})
        if trainer.is_global_zero:
            log.info("epoch %d: %s", trainer.current_epoch, ", ".join(parts))
        self._is_best_new = False

    def _keep(self, metrics: dict[str, float], monitor: str, sign: int, *, epoch: int) -> None:
        if monitor not in metrics:
            return
        if monitor not in self.best or sign * metrics[monitor] > sign * self.best[monitor]:
            self.best = {name: value for name, value in metrics.items() if name.startswith("val/")}
            self._is_best_new, self.best_epoch = True, epoch


def _logged(trainer: L.Trainer) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _monitored(trainer: L.Trainer) -> tuple[str, int]:
    """The name of the score that decides, and 1 if more is better, else -1; an empty name if none decides."""
    for callback in (*trainer.checkpoint_callbacks, *trainer.early_stopping_callbacks):
        if monitor := getattr(callback, "monitor", None):
            return str(monitor), -1 if getattr(callback, "mode", "max") == "min" else 1
    return "", 1


class RunClock(L.Callback):
    """Measures fit, epochs (training and validation) and test in seconds; what came before a resume counts.

    Of the fit also the processor seconds of this process, all threads: what a busy machine does not change.
    """

    def __init__(self) -> None:
        self.fit_seconds = self.fit_cpu_seconds = self.test_seconds = 0.0
        self.epoch_seconds: list[float] = []
        self._has_fitted = False
        self._fit_start = self._fit_cpu_start = self._epoch_start = self._test_start = 0.0

    def state_dict(self) -> dict[str, Any]:
        """The seconds so far, for a resumed run."""
        running, cpu = self._of_the_fit() if self._fit_start else (0.0, 0.0)
        return {
            "fit_seconds": self.fit_seconds + running,
            "fit_cpu_seconds": self.fit_cpu_seconds + cpu,
            "epoch_seconds": self.epoch_seconds,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Add the seconds before the interruption; testing the best epoch's checkpoint does not turn time back."""
        if not self._has_fitted:
            self.fit_seconds, self.fit_cpu_seconds = state_dict["fit_seconds"], state_dict["fit_cpu_seconds"]
            self.epoch_seconds = list(state_dict["epoch_seconds"])

    def _of_the_fit(self) -> tuple[float, float]:
        """Seconds since the fit began, by the wall and by the processor."""
        return time.perf_counter() - self._fit_start, time.process_time() - self._fit_cpu_start

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the fit's clock."""
        self._fit_start, self._fit_cpu_start = time.perf_counter(), time.process_time()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the fit's clock."""
        seconds, cpu_seconds = self._of_the_fit()
        self.fit_seconds += seconds
        self.fit_cpu_seconds += cpu_seconds
        self._fit_start, self._has_fitted = 0.0, True

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start an epoch's clock."""
        self._epoch_start = time.perf_counter()

    on_train_start = on_train_epoch_start  # an epoch that is resumed does not start again

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop an epoch's clock; validation has run by now."""
        self.epoch_seconds.append(time.perf_counter() - self._epoch_start)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the test's clock."""
        self._test_start = time.perf_counter()

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the test's clock."""
        self.test_seconds += time.perf_counter() - self._test_start


class ConfiguredOptions(L.Callback):
    """Gives callbacks their configured options back where a checkpoint brings its own, such as a patience.

    Args:
        callbacks: the callbacks as the config has made them.
    """

    def __init__(self, callbacks: Iterable[L.Callback]) -> None:
        self._configured = [
            (callback, name, getattr(callback, name))
            for callback in callbacks
            for name in sorted(callback.state_dict().keys() & inspect.signature(type(callback)).parameters.keys())
            if hasattr(callback, name)
        ]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The checkpoint has been read."""
        for callback, name, value in self._configured:
            setattr(callback, name, value)


class RunRecord(L.Callback):
    """Stores the run's config and the identity of its data in every checkpoint, as plain containers.

    Args:
        config: the config, interpolations unresolved.
        data: identity of the data: name and fingerprint of each domain.
        encoders: per modality the encoders of its features.
        network: class path and resolved arguments of the network.
    """

    def __init__(
        self,
        config: dict[str, Any],
        data: dict[str, str],
        encoders: Mapping[str, list[str]] | None = None,
        network: Mapping[str, Any] | None = None,
    ) -> None:
        self.record: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "config": config,
            "data": data,
            "encoders": dict(encoders or {}),
        }
        if network is not None:
            self.record["network"] = dict(network)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record."""
        checkpoint[RECORD] = self.record
