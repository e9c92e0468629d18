"""Means over an epoch that survive an interruption within it."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor

from missrec_pl.system.processes import Share

_KEY = "epoch_means"


class EpochMeans(L.Callback):
    """Stores what has been logged of an epoch so far in its checkpoints, and goes on from there.

    Lightning forgets it: ``train/loss`` of a resumed epoch would be the mean over what was left of the epoch.
    Sums and counts of every process are kept; a run that goes on with as many processes repeats their bits.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._sums = self._counts = torch.zeros(0)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the sums of an epoch that has begun."""
        if not trainer.training or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            return
        results = _running(trainer)
        if not results:
            return
        share = Share.mine()
        device = pl_module.device
        sums = torch.stack([result.value.detach().to(device) for result in results.values()])
        counts = torch.stack([result.cumulated_batch_size.to(device) for result in results.values()])
        checkpoint[_KEY] = {
            "names": list(results),
            "sums": torch.stack(share.collect(sums)).cpu(),
            "counts": torch.stack(share.collect(counts)).cpu(),
        }

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take this process's part of the sums."""
        stored = checkpoint.get(_KEY)
        if stored is None:
            return
        self._names, share = list(stored["names"]), Share.mine()
        sums, counts = stored["sums"], stored["counts"]
        if len(sums) != share.count:  # another number of processes: the first goes on with all of it
            sums, counts = sums.sum(0, keepdim=True), counts.sum(0, keepdim=True)
        here = share.index < len(sums)
        self._sums = sums[share.index] if here else torch.zeros_like(sums[0])
        self._counts = counts[share.index] if here else torch.zeros_like(counts[0])

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """After the first step of a resumed epoch: add what was before."""
        if not self._names:
            return
        results = _running(trainer)
        for name, total, count in zip(self._names, self._sums, self._counts, strict=True):
            if name in results:
                _add(results[name], total, count)
            elif int(count):  # logged once, before the interruption
                pl_module.log(
                    name, total / count, on_step=False, on_epoch=True, batch_size=int(count), rank_zero_only=True
                )
        self._names = []


def _running(trainer: L.Trainer) -> dict[str, Any]:
    """Lightning's means of the epoch in progress, by name."""
    results = trainer.fit_loop.epoch_loop._results
    return {
        result.meta.name: result
        for result in results.values()
        if result.is_tensor and result.meta.on_epoch and result.meta.is_mean_reduction and not result.has_reset
    }


def _add(result: Any, total: Tensor, count: Tensor) -> None:
    result.value = total.to(result.value) + result.value
    result.cumulated_batch_size = count.to(result.cumulated_batch_size) + result.cumulated_batch_size
    result._computed = None
