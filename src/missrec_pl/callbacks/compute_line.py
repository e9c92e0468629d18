"""One line in the log about what a run computes with."""

from __future__ import annotations

import logging
import os

import lightning as L
import torch

log = logging.getLogger(__name__)


class ComputeLine(L.Callback):
    """Says device, processes, threads and precision, and warns of more threads than cores.

    torch takes a thread per core unless ``OMP_NUM_THREADS`` says otherwise. Where Lightning starts several
    processes it shares the cores out among them; ``torchrun`` gives each process one thread.
    """

    def __init__(self) -> None:
        self._is_said = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say it once a run."""
        self._say(trainer, pl_module)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say it where nothing is trained."""
        self._say(trainer, pl_module)

    def _say(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self._is_said:
            return
        self._is_said = True
        device = module.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        threads, cores = torch.get_num_threads(), usable_cores()
        local = trainer.world_size // trainer.num_nodes
        log.info(
            "compute: %s, %s of %s on %d cores, %s, float32 products %s",
            name,
            _counted(trainer.world_size, "process", "processes"),
            _counted(threads, "thread", "threads"),
            cores,
            trainer.precision,
            torch.get_float32_matmul_precision(),
        )
        if device.type == "cpu" and threads > 1 and threads * local > cores:
            log.warning(
                "%d processes of %d threads are more than %d cores, which slows all of them down: set "
                "OMP_NUM_THREADS=%d or lower trainer.devices.",
                local,
                threads,
                cores,
                max(1, cores // local),
            )


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
