"""Candidates of a sampled softmax: the global batch's targets, and items drawn with equal probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor


@dataclass(frozen=True)
class Candidates:
    """The candidates that all rows of a global batch share.

    Attributes:
        rows: ``[C]`` rows of the batch's item table, rising; every target is among them.
        log_inclusion: ``[C]`` float32, log of the probability that such an item is a candidate of a row whose
            target is another item.
    """

    rows: Tensor
    log_inclusion: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Candidates:
        """The candidates on another device."""
        return Candidates(
            self.rows.to(device, non_blocking=non_blocking),
            self.log_inclusion.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Candidates:
        """The candidates in page-locked memory."""
        return Candidates(self.rows.pin_memory(), self.log_inclusion.pin_memory())


class CandidateDraw:
    """Draws the candidates of a global batch, and knows how likely each of them was.

    An item becomes a candidate as the target of some row or by one of the uniform draws. Rows are shuffled, not
    drawn independently, so the first probability is hypergeometric.

    Args:
        target_counts: ``[N + 1]`` rows of an epoch whose target is the item.
        num_negatives: distinct items of a uniform draw; from ``N`` on all items are candidates.
    """

    def __init__(self, target_counts: NDArray[np.int64], num_negatives: int) -> None:
        self.target_counts = target_counts
        self.num_items = len(target_counts) - 1
        self.num_negatives = min(num_negatives, self.num_items)

    def __call__(self, targets: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """Distinct candidates in rising order.

        Args:
            targets: ``[G]`` targets of the global batch, as global ids.
            random: the source of the draws.
        """
        drawn = random.choice(self.num_items, self.num_negatives, replace=False, shuffle=False) + 1
        return np.union1d(targets, drawn)

    def log_inclusion(self, ids: NDArray[np.int64], batch_size: int) -> NDArray[np.float32]:
        """Log of the probability that an item is a candidate of a row with another target.

        Args:
            ids: ``[C]`` items.
            batch_size: rows ``G`` of the global batch; the ``G - 1`` others may have the item as target.
        """
        others, drawn = int(self.target_counts.sum()) - 1, batch_size - 1
        spared = np.maximum(others - self.target_counts[ids], max(drawn - 1, 0))  # rows that are not the item's
        # log of (spared choose drawn) / (others choose drawn); minus infinity where the item cannot be missed
        log_absent = gammaln(spared + 1.0) - gammaln(spared - drawn + 1.0)
        log_absent -= gammaln(others + 1.0) - gammaln(others - drawn + 1.0)
        absent = np.exp(np.minimum(log_absent, 0)) * (1 - self.num_negatives / self.num_items)
        log_inclusion: NDArray[np.float32] = np.log1p(-absent).astype(np.float32)
        return log_inclusion
