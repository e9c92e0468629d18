"""Scores of all items in the form that suits a baseline, and the exact ranks of the targets among them.

Ranks count ties half (`missrec_pl.metrics.target_ranks`). The rank among the candidates outside of the history
follows from the rank among all: what the history's items contributed to it is taken off.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.baselines.histories import Histories
from missrec_pl.metrics import target_ranks


@dataclass(frozen=True)
class Ranks:
    """A block's ranks under both protocols.

    Attributes:
        included: ``[B]`` among all items.
        excluded: ``[B]`` among the items outside of the history; a target that repeats one of its items stays a
            candidate, as in `missrec_pl.metrics.mask_history_`.
    """

    included: Float[np.ndarray, " B"]
    excluded: Float[np.ndarray, " B"]


@runtime_checkable
class Scores(Protocol):
    """Scores ``[B, N]`` of a block of histories, in whatever form."""

    def ranks(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Ranks:
        """The ranks of the targets in these columns."""


@dataclass(frozen=True)
class DenseScores:
    """Every score is there, or every score of some columns while all others score 0.

    Attributes:
        values: ``[B, N]`` finite scores; ``[B, C]`` where ``columns`` are given.
        columns: ``[C]`` which columns these are, ascending.
    """

    values: Float[Tensor, "B C"]
    columns: Int[np.ndarray, " C"] | None = None

    def ranks(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Ranks:
        """Count over all columns; DataError for NaN."""
        rivals = histories.rivals(columns)
        num_rows, num_absent = len(columns), 0
        places = np.arange(histories.num_items)
        if self.columns is not None:  # an absent column reads the zeros that are put behind the scores
            num_absent = histories.num_items - len(self.columns)
            places = np.full(histories.num_items, len(self.columns))
            places[self.columns] = np.arange(len(self.columns))
        values = self.values if num_absent == 0 else torch.nn.functional.pad(self.values, (0, 1))
        targets = torch.from_numpy(places[columns])
        included = target_ranks(values, targets).double().numpy()
        rows = np.repeat(np.arange(num_rows), np.diff(rivals.indptr))
        own = values.gather(1, targets.unsqueeze(1)).squeeze(1).numpy()
        if num_absent > 1:  # the zeros stand for more than the one candidate that was counted
            included = included + (num_absent - 1) * ((own < 0) + (own == 0) / 2)
        theirs = values[torch.from_numpy(rows), torch.from_numpy(places[rivals.indices])].numpy()
        return without_rivals(included, own, theirs, rows)


@dataclass(frozen=True)
class SharedScores:
    """The same scores for every history.

    Attributes:
        values: ``[N]``.
        ascending: ``[N]`` the same, sorted.
    """

    values: Float[np.ndarray, " N"]
    ascending: Float[np.ndarray, " N"]

    def ranks(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Ranks:
        """Look the target's place up in the sorted scores."""
        own = self.values[columns]
        below, not_above = (np.searchsorted(self.ascending, own, side) for side in ("left", "right"))
        included = 1 + (len(self.ascending) - not_above) + (not_above - below - 1) / 2
        rivals = histories.rivals(columns).tocoo()
        return without_rivals(included, own, self.values[rivals.col], rivals.row)


def as_scores(scores: Float[Tensor, "B N"] | Scores) -> Scores:
    """A plain tensor is a `DenseScores`."""
    return DenseScores(scores) if isinstance(scores, Tensor) else scores


def without_rivals(
    included: Float[np.ndarray, " B"],
    own: Float[np.ndarray, " B"],
    theirs: Float[np.ndarray, " R"],
    rows: Int[np.ndarray, " R"],
) -> Ranks:
    """Take the rivals (scores ``theirs`` in ``rows``) out of the ranks of targets with the scores ``own``."""
    places = (theirs > own[rows]) + (theirs == own[rows]) / 2
    return Ranks(included, included - np.bincount(rows, weights=places, minlength=len(own)))
