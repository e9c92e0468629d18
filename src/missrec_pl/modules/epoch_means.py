"""Means over an epoch that survive an interruption within it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def update(self, total: Tensor | None, rows: int | Tensor = 0) -> None:
        """Add the sum over some rows; None where the states have it already."""
        if total is not None:
            self.total = self.total + total
            self.rows = self.rows + rows

    def compute(self) -> Tensor:
        """The mean over the rows so far."""
        return self.total / self.rows


class EpochMeans(dict[str, EpochMean]):
    """The means of the epoch in progress, by the name that they are logged under."""

    _sums: Tensor  # what steps have added, ``[names]`` each: the states of those metrics are views of these
    _rows: Tensor
    _views: Sequence[tuple[Tensor, Tensor]] = ()

    @property
    def begun(self) -> dict[str, EpochMean]:
        """Those that something was added to in this epoch."""
        return {name: mean for name, mean in self.items() if mean.update_called}

    def add(self, name: str, total: Tensor, rows: int | Tensor) -> None:
        """Add the sum over some rows of this process; all processes add to the same names."""
        if name not in self:
            self[name] = EpochMean().to(total.device)
        self[name].update(total, rows)

    @torch.no_grad()
    def add_step(self, losses: Mapping[str, Tensor], rows: int) -> Tensor:
        """Add the means of a step of so many rows, in four operations; the same names in every step.

        Returns:
            ``[names]`` the means.
        """
        values = list(losses.values())
        if all(value.shape == (rows,) for value in values):
            sums = torch.stack(values).sum(1)
        else:
            sums = torch.stack([value.mean() for value in values]) * rows
        for name in losses:  # in their order, which is that of the other processes
            if name not in self:
                self[name] = EpochMean().to(sums.device)
        means = [self[name] for name in losses]
        held = zip(means, self._views, strict=False)
        if len(self._views) != len(means) or any(m.total is not one[0] or m.rows is not one[1] for m, one in held):
            self._share(means)
        self._sums += sums
        self._rows += rows
        for mean in means:
            mean.update(None)
        return sums / rows

    def _share(self, means: list[EpochMean]) -> None:
        """Lay the states of some metrics into two tensors; an epoch's end has given them states of their own."""
        self._sums = torch.stack([mean.total for mean in means])
        self._rows = torch.stack([mean.rows for mean in means])
        self._views = list(zip(self._sums.unbind(), self._rows.unbind(), strict=True))
        for mean, (total, rows) in zip(means, self._views, strict=True):
            mean.total, mean.rows = total, rows

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
