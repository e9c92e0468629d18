"""The items that targets are compared with, and the random ones among them: shared, or drawn for each target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from missrec_pl.data.items.table import TensorFields
from missrec_pl.data.sequences import Ints
from missrec_pl.errors import DataError

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


Drawn: TypeAlias = "tuple[Ints, NDArray[np.float32] | None]"
"""Candidates of a global batch, as global ids: ``[C]`` that all targets share, rising, and their ``log_inclusion``
(see :class:`Candidates`); or ``[G, K]``, each target's own, itself in column 0, and None."""


class Negatives(Protocol):
    """Draws the candidates of a global batch; every process draws the same."""

    def __call__(self, targets: Ints, domain: Ints, fold: int | None, random: np.random.Generator) -> Drawn:
        """Candidates.

        Args:
            targets: ``[G]`` targets of the global batch, as global ids.
            domain: ``[G]`` their domains.
            fold: the fold of users that the batch is of; None where they have none.
            random: the source of the draws.
        """
        ...


class SharedNegatives:
    """The targets of the global batch and distinct random items, for all targets; and how likely each of them was.

    An item becomes a candidate as another target of the global batch or by one of the uniform draws. Batches are
    shuffled, not drawn independently, so the first probability is hypergeometric: the global batch's other targets
    are a random subset of all others. That is exact for batches of prefixes. Where a row has several targets it is
    an average over targets: those of one row come together, so an item that stands several times in one row is a
    candidate a little less often than this says, and the other targets of a target's own row always are.

    Args:
        target_counts: ``[F, N + 1]`` for each fold of users (or all of them) the targets of an epoch that are the
            item; for targets drawn anew in every epoch see :meth:`TrainingExamples.target_counts`.
        num_negatives: distinct items of a uniform draw; from ``N`` on all items are candidates.
    """

    def __init__(self, target_counts: NDArray[np.int64 | np.float64], num_negatives: int) -> None:
        self.target_counts = target_counts
        self.num_items = target_counts.shape[1] - 1
        self.num_negatives = min(num_negatives, self.num_items)

    def __call__(self, targets: Ints, domain: Ints, fold: int | None, random: np.random.Generator) -> Drawn:
        """See :class:`Negatives`."""
        drawn = random.choice(self.num_items, self.num_negatives, replace=False, shuffle=False) + 1
        ids = np.union1d(targets, drawn)
        return ids, self.log_inclusion(ids, len(targets), fold)

    def log_inclusion(self, ids: Ints, num_targets: int, fold: int | None = None) -> NDArray[np.float32]:
        """Log of the probability that an item is a candidate of a target that is another item.

        Args:
            ids: ``[C]`` items.
            num_targets: targets ``G`` of the global batch; the ``G - 1`` others may be the item.
            fold: the fold of users that the batch is of.
        """
        from scipy.special import gammaln  # slow to import, and serving does without

        counts = self.target_counts[fold or 0]
        others, drawn = round(float(counts.sum())) - 1, num_targets - 1
        spared = np.maximum(others - counts[ids], max(drawn - 1, 0))  # targets that are not the item
        # log of (spared choose drawn) / (others choose drawn); minus infinity where the item cannot be missed
        log_absent = gammaln(spared + 1.0) - gammaln(spared - drawn + 1.0)
        log_absent -= gammaln(others + 1.0) - gammaln(others - drawn + 1.0)
        absent = np.exp(np.minimum(log_absent, 0)) * (1 - self.num_negatives / self.num_items)
        log_inclusion: NDArray[np.float32] = np.log1p(-absent).astype(np.float32)
        return log_inclusion


class PerRowNegatives:
    """Random items of its own domain for each target, uniform and with replacement.

    Args:
        offsets: ``[D + 1]`` last item (global id) before each domain, and the last of all.
        num_negatives: items drawn for a target.
        exclude_target: True draws among the other items of the domain, False among all of them.

    Raises:
        DataError: a domain has a single item, which is every target.
    """

    def __init__(self, offsets: Ints, num_negatives: int, *, exclude_target: bool = True) -> None:
        self.offsets = np.asarray(offsets)
        self.num_negatives = num_negatives
        self.exclude_target = exclude_target
        if exclude_target and (np.diff(self.offsets) < 2).any():
            raise DataError(
                "data.candidates=per_row: a domain has a single item, so that nothing else can be drawn; leave it "
                "out, or use data.candidates=all."
            )

    def __call__(self, targets: Ints, domain: Ints, fold: int | None, random: np.random.Generator) -> Drawn:
        """See :class:`Negatives`."""
        first, size = self.offsets[domain] + 1, np.diff(self.offsets)[domain]
        choices = size - self.exclude_target
        shape = (len(targets), self.num_negatives)
        same = choices[0] if (choices == choices[0]).all() else choices[:, None]  # one bound draws much faster
        drawn = first[:, None] + random.integers(0, same, shape)
        if self.exclude_target:
            drawn += drawn >= targets[:, None]
        return np.concatenate([targets[:, None], drawn], axis=1), None
