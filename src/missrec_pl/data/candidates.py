"""The items that targets are compared with, and those of a sampled softmax: targets and random items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from torch import Tensor

from missrec_pl.data.tensor_fields import TensorFields

CandidateKind = Literal["all", "in_batch", "sampled", "per_row"]
CANDIDATES: tuple[str, ...] = get_args(CandidateKind)


@dataclass(frozen=True)
class Candidates(TensorFields):
    """What the targets of a batch stand among: candidates that a global batch shares, or each target's own.

    Attributes:
        rows: ``[C]`` rows of the batch's item table, rising; every target is among them. Or ``[R, K]``, each
            target's own, itself in column 0.
        log_inclusion: ``[C]`` float32, log of the probability that such an item is a candidate of a target that is
            another item; None for ``[R, K]``.
    """

    rows: Tensor
    log_inclusion: Tensor | None = None


class CandidateDraw:
    """Draws the candidates of a global batch, and knows how likely each of them was.

    An item becomes a candidate as another target of the global batch or by one of the uniform draws. Batches are
    shuffled, not drawn independently, so the first probability is hypergeometric: the global batch's other targets
    are a random subset of all others. That is exact for batches of prefixes. Where a row has several targets it is
    an average over targets: those of one row come together, so an item that stands several times in one row is a
    candidate a little less often than this says, and the other targets of a target's own row always are.

    Args:
        target_counts: ``[N + 1]`` targets of an epoch that are the item; for targets drawn anew in every epoch see
            :meth:`TrainingExamples.target_counts`.
        num_negatives: distinct items of a uniform draw; from ``N`` on all items are candidates.
    """

    def __init__(self, target_counts: NDArray[np.int64 | np.float64], num_negatives: int) -> None:
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

    def log_inclusion(self, ids: NDArray[np.int64], num_targets: int) -> NDArray[np.float32]:
        """Log of the probability that an item is a candidate of a target that is another item.

        Args:
            ids: ``[C]`` items.
            num_targets: targets ``G`` of the global batch; the ``G - 1`` others may be the item.
        """
        others, drawn = round(float(self.target_counts.sum())) - 1, num_targets - 1
        spared = np.maximum(others - self.target_counts[ids], max(drawn - 1, 0))  # targets that are not the item
        # log of (spared choose drawn) / (others choose drawn); minus infinity where the item cannot be missed
        log_absent = gammaln(spared + 1.0) - gammaln(spared - drawn + 1.0)
        log_absent -= gammaln(others + 1.0) - gammaln(others - drawn + 1.0)
        absent = np.exp(np.minimum(log_absent, 0)) * (1 - self.num_negatives / self.num_items)
        log_inclusion: NDArray[np.float32] = np.log1p(-absent).astype(np.float32)
        return log_inclusion
