"""Scores of all items in the form that suits a baseline, and the exact ranks of the targets among them.

Ranks count ties half (`missrec_pl.metrics.target_ranks`). The rank among the candidates outside of the history is
the rank among all, less what the history's items contributed to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.baselines.histories import Histories
from missrec_pl.metrics import target_ranks


@dataclass(frozen=True)
class Ranks:
    """A block's ranks under both protocols.

    Attributes:
        included: ``[B]`` among all items.
        excluded: ``[B]`` among the items outside of the history; infinite for a target that repeats one of its
            items, as in `missrec_pl.metrics.ranks_without_history_`.
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
    """Finite scores ``[B, N]``, or ``[B, C]`` of the ascending ``columns`` while all others score 0."""

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
        return without_rivals(included, own, theirs, rows, histories.repeats(columns))


@dataclass(frozen=True)
class SharedScores:
    """The same scores ``[N]`` for every history: by item, and sorted."""

    values: Float[np.ndarray, " N"]
    ascending: Float[np.ndarray, " N"]

    def ranks(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Ranks:
        """Look the target's place up in the sorted scores."""
        own = self.values[columns]
        below, not_above = (np.searchsorted(self.ascending, own, side) for side in ("left", "right"))
        included = 1 + (len(self.ascending) - not_above) + (not_above - below - 1) / 2
        rivals = histories.rivals(columns).tocoo()
        return without_rivals(included, own, self.values[rivals.col], rivals.row, histories.repeats(columns))


@dataclass(frozen=True)
class _Found:
    """Places among the stored scores: ``own [B]`` of targets (-1: none), ``rivals [R]`` of rivals in ``rows [R]``.

    In each row ``num_unknown [B]`` rivals have no stored score.
    """

    own: Int[np.ndarray, " B"]
    rivals: Int[np.ndarray, " R"]
    rows: Int[np.ndarray, " R"]
    num_unknown: Int[np.ndarray, " B"]


class Layout:
    """The places of a sparse ``[B, N]`` matrix, each at most once: several scores of one block may share them."""

    def __init__(self, matrix: sp.csr_array) -> None:
        self.shape = matrix.shape
        self.indices = matrix.indices
        self.indptr = matrix.indptr
        self.num_stored = np.diff(matrix.indptr)
        self._found: _Found | None = None

    def find(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> _Found:
        """Where the block's targets and rivals are among the stored scores; always called for the same block."""
        if self._found is None:
            num_rows = self.shape[0]
            rivals = histories.rivals(columns)
            ones = np.ones(num_rows, dtype=np.float64)
            targets = sp.csr_array((ones, columns, np.arange(num_rows + 1)), shape=self.shape)
            places = np.arange(1, len(self.indices) + 1, dtype=np.float64)  # not from 0: a product drops zeros
            numbered = sp.csr_array((places, self.indices, self.indptr), shape=self.shape)
            known = (numbered * (rivals + targets)).tocoo()
            is_own = known.col == columns[known.row]
            place = known.data.astype(np.int64) - 1
            own = np.full(num_rows, -1)
            own[known.row[is_own]] = place[is_own]
            num_unknown = np.diff(rivals.indptr) - np.bincount(known.row[~is_own], minlength=num_rows)
            self._found = _Found(own, place[~is_own], known.row[~is_own], num_unknown)
        return self._found

    def count(self, is_counted: Bool[np.ndarray, " E"]) -> Int[np.ndarray, " B"]:
        """How many of each row's stored scores are counted."""
        return np.diff(np.concatenate([[0], np.cumsum(is_counted)])[self.indptr])


@dataclass(frozen=True)
class SparseScores:
    """Scores ``[E]`` of the places of a layout, in its order; all others are 0."""

    values: Float[np.ndarray, " E"]
    layout: Layout

    @classmethod
    def of(cls, matrix: sp.csr_array) -> SparseScores:
        """The scores of a sparse ``[B, N]`` matrix that holds every place at most once."""
        return cls(matrix.data, Layout(matrix))

    def as_matrix(self, factor: np.number) -> sp.csr_array:
        """The scores times a factor as a sparse ``[B, N]`` matrix."""
        layout = self.layout
        return sp.csr_array((self.values * factor, layout.indices, layout.indptr), shape=layout.shape)

    def ranks(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Ranks:
        """Count over the stored scores; those that are not stored are one tie at 0."""
        found = self.layout.find(histories, columns)
        own = np.where(found.own < 0, 0, self.values[found.own] if len(self.values) else 0)
        thresholds = np.repeat(own.astype(self.values.dtype), self.layout.num_stored)
        num_at_zero = self.layout.shape[1] - self.layout.num_stored
        num_greater = self.layout.count(self.values > thresholds) + num_at_zero * (own < 0)
        num_equal = self.layout.count(self.values == thresholds) + num_at_zero * (own == 0) - 1
        included = 1 + num_greater + num_equal / 2
        theirs = self.values[found.rivals]
        ranks = without_rivals(included, own, theirs, found.rows, histories.repeats(columns))
        return Ranks(included, ranks.excluded - found.num_unknown * ((own < 0) + (own == 0) / 2))


def as_scores(scores: Float[Tensor, "B N"] | Scores) -> Scores:
    """A plain tensor is a `DenseScores`."""
    return DenseScores(scores) if isinstance(scores, Tensor) else scores


def without_rivals(
    included: Float[np.ndarray, " B"],
    own: Float[np.ndarray, " B"],
    theirs: Float[np.ndarray, " R"],
    rows: Int[np.ndarray, " R"],
    is_repeat: Bool[np.ndarray, " B"],
) -> Ranks:
    """Take the rivals (scores ``theirs`` in ``rows``) out of the ranks of targets with the scores ``own``."""
    places = (theirs > own[rows]) + (theirs == own[rows]) / 2
    excluded = included - np.bincount(rows, weights=places, minlength=len(own))
    return Ranks(included, np.where(is_repeat, np.inf, excluded))


def decayed_sums(
    histories: Histories, name: str, settings: Mapping[str, float], matrix: Callable[[], sp.csr_array]
) -> SparseScores:
    """Sum the rows of ``matrix`` ``[N, N]`` over each history, weighted by ``settings["decay"]`` per step back.

    The result is remembered, for the hybrid asks for it again.
    """
    key, decay = (name, *settings.items()), settings["decay"]
    return histories.remember(key, lambda: SparseScores.of(histories.decayed(decay) @ matrix()))
