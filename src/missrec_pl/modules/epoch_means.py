"""Means over an epoch that survive an interruption within it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torchmetrics import Metric

from missrec_pl.system.processes import Share


class EpochMean(Metric):
    """Mean over the rows of all processes.

    torchmetrics' MeanMetric counts rows in float32, and waits for the device at every update to look for NaN.
    """

    full_state_update = False
    total: Tensor
    rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("rows", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, total: Tensor, rows: int | Tensor) -> None:
        """Add the sum over some rows."""
        self.total = self.total + total
        self.rows = self.rows + rows

    def compute(self) -> Tensor:
        """The mean over the rows so far."""
        return self.total / self.rows


class EpochMeans(dict[str, EpochMean]):
    """The means of the epoch in progress, by the name that they are logged under."""

    @property
    def begun(self) -> dict[str, EpochMean]:
        """Those that something was added to in this epoch."""
        return {name: mean for name, mean in self.items() if mean.update_called}

    def add(self, name: str, total: Tensor, rows: int | Tensor) -> None:
        """Add the sum over some rows of this process; all processes add to the same names."""
        if name not in self:
            self[name] = EpochMean().to(total.device)
        self[name].update(total, rows)

    def log(self, module: L.LightningModule) -> None:
        """Log, from a step, what was added in this epoch."""
        for name, mean in self.begun.items():
            module.log(name, mean, on_step=False, on_epoch=True, metric_attribute=name)

    def stored(self, share: Share) -> dict[str, Any]:
        """Names, and every process's sums and counts ``[P, names]``, for a checkpoint; all processes call it."""
        begun = self.begun
        sums = torch.stack([mean.total for mean in begun.values()])
        counts = torch.stack([mean.rows for mean in begun.values()])
        of_all = {"sums": share.collect(sums), "counts": share.collect(counts)}
        return {"names": list(begun), **{name: torch.stack(part).cpu() for name, part in of_all.items()}}

    def restore(self, stored: Mapping[str, Any], share: Share, device: torch.device) -> None:
        """Go on from this process's part; of another number of processes the first goes on with all of it."""
        mine = [
            part[share.index] if len(part) == share.count else part.sum(0) * (share.index == 0)
            for part in (stored["sums"].to(device), stored["counts"].to(device))
        ]
        for name, total, rows in zip(stored["names"], *mine, strict=True):
            self.add(name, total, rows)
