"""The random items of a global batch: shared by its targets, or drawn for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.candidates import CandidateDraw
from missrec_pl.errors import DataError


@dataclass(frozen=True)
class Drawn:
    """Candidates of a global batch, as global ids.

    Attributes:
        ids: ``[C]`` that all targets share, rising; or ``[G, K]``, each target's own, itself in column 0.
        log_inclusion: ``[C]``, see :class:`Candidates`; None for ``[G, K]``.
    """

    ids: NDArray[np.int64]
    log_inclusion: NDArray[np.float32] | None


class Negatives(Protocol):
    """Draws the candidates of a global batch; every process draws the same."""

    def __call__(
        self,
        targets: NDArray[np.int64],
        domain: NDArray[np.int64],
        fold: int | None,
        random: np.random.Generator,
    ) -> Drawn:
        """Candidates.

        Args:
            targets: ``[G]`` targets of the global batch, as global ids.
            domain: ``[G]`` their domains.
            fold: the fold of users that the batch is of; None where they have none.
            random: the source of the draws.
        """
        ...


class SharedNegatives:
    """The targets of the global batch and distinct random items, for all targets.

    Args:
        target_counts: ``[F, N + 1]``, for each fold of users (or all of them) see :class:`CandidateDraw`.
        num_negatives: see there.
    """

    def __init__(self, target_counts: NDArray[np.int64 | np.float64], num_negatives: int) -> None:
        self.draws = [CandidateDraw(counts, num_negatives) for counts in target_counts]

    def __call__(
        self,
        targets: NDArray[np.int64],
        domain: NDArray[np.int64],
        fold: int | None,
        random: np.random.Generator,
    ) -> Drawn:
        """See :class:`Negatives`."""
        draw = self.draws[fold or 0]
        ids = draw(targets, random)
        return Drawn(ids, draw.log_inclusion(ids, len(targets)))


class PerRowNegatives:
    """Random items of its own domain for each target, uniform and with replacement.

    Args:
        offsets: ``[D + 1]`` last item (global id) before each domain, and the last of all.
        num_negatives: items drawn for a target.
        exclude_target: True draws among the other items of the domain, False among all of them.

    Raises:
        DataError: a domain has a single item, which is every target.
    """

    def __init__(self, offsets: NDArray[np.int64], num_negatives: int, *, exclude_target: bool = True) -> None:
        self.offsets = np.asarray(offsets)
        self.num_negatives = num_negatives
        self.exclude_target = exclude_target
        if exclude_target and (np.diff(self.offsets) < 2).any():
            raise DataError(
                "data.candidates=per_row: a domain has a single item, so that nothing else can be drawn; leave it "
                "out, or use data.candidates=all."
            )

    def __call__(
        self,
        targets: NDArray[np.int64],
        domain: NDArray[np.int64],
        fold: int | None,
        random: np.random.Generator,
    ) -> Drawn:
        """See :class:`Negatives`."""
        first, size = self.offsets[domain] + 1, np.diff(self.offsets)[domain]
        choices = size - self.exclude_target
        shape = (len(targets), self.num_negatives)
        same = choices[0] if (choices == choices[0]).all() else choices[:, None]  # one bound draws much faster
        drawn = first[:, None] + random.integers(0, same, shape)
        if self.exclude_target:
            drawn += drawn >= targets[:, None]
        return Drawn(np.concatenate([targets[:, None], drawn], axis=1), None)
