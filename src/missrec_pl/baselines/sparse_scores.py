"""Scores of the items with any evidence, of whatever size the catalogue is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.scores import Ranks, without_rivals


class Layout:
    """The places of a sparse ``[B, N]`` matrix: several scores of one block may share them.

    Args:
        matrix: Every place at most once; its values do not matter.
    """

    def __init__(self, matrix: sp.csr_array) -> None:
        self.shape = matrix.shape
        self.indices = matrix.indices
        self.indptr = matrix.indptr
        self.num_stored = np.diff(matrix.indptr)
        self._found: Found | None = None

    def find(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Found:
        """Where the block's targets and rivals are among the stored scores (always asked for the same block)."""
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
            self._found = Found(own, place[~is_own], known.row[~is_own], num_unknown)
        return self._found

    def count(self, is_counted: Bool[np.ndarray, " E"]) -> Int[np.ndarray, " B"]:
        """How many of each row's stored scores are counted."""
        counts = np.zeros(self.shape[0], dtype=np.int64)
        is_filled = self.num_stored > 0
        if is_filled.any():
            counts[is_filled] = np.add.reduceat(is_counted, self.indptr[:-1][is_filled], dtype=np.int32)
        return counts


@dataclass(frozen=True)
class Found:
    """Where a block's targets and rivals are among the stored scores.

    Attributes:
        own: ``[B]`` the target's place, -1 if it has none.
        rivals: ``[R]`` the places of the rivals that have one.
        rows: ``[R]`` their rows.
        num_unknown: ``[B]`` the number of rivals that have none.
    """

    own: Int[np.ndarray, " B"]
    rivals: Int[np.ndarray, " R"]
    rows: Int[np.ndarray, " R"]
    num_unknown: Int[np.ndarray, " B"]


@dataclass(frozen=True)
class SparseScores:
    """Scores of the items with any evidence; all others score 0.

    Attributes:
        values: ``[E]`` the stored scores, in the order of the layout.
        layout: Where they are.
    """

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
        ranks = without_rivals(included, own, self.values[found.rivals], found.rows)
        return Ranks(included, ranks.excluded - found.num_unknown * ((own < 0) + (own == 0) / 2))
