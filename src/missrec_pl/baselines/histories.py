"""Histories and targets in compressed rows: what evaluation hands to the baselines, block by block."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int

from missrec_pl.data.sequences import offsets_of
from missrec_pl.errors import DataError

T = TypeVar("T")

# What the parts of a hybrid share with it: the scores of each part and of both together, for either protocol.
_REMEMBERED = 6


@dataclass(eq=False)
class Histories:
    """A block of histories.

    Attributes:
        items: ``[T]`` item ids ``1..N`` of all rows, one after the other, chronological.
        offsets: ``[B + 1]`` row b is ``items[offsets[b]:offsets[b + 1]]``, never empty.
        num_items: N.
    """

    items: Int[np.ndarray, " T"]
    offsets: Int[np.ndarray, " _"]
    num_items: int
    _remembered: dict[Hashable, Any] = field(default_factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def rows(self) -> Int[np.ndarray, " T"]:
        """The row of each item."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def decayed(self, decay: float) -> sp.csr_array:
        """Sparse ``[B, N]`` weights: 1 for the newest item, times ``decay`` for each step back; repeats add up."""
        age = self.offsets[1:][self.rows] - 1 - np.arange(len(self.items))
        weights = np.power(np.float32(decay), age.astype(np.float32))
        places = (weights, self.items - 1, self.offsets.copy())  # scipy may sum up repeats in place
        return sp.csr_array(places, shape=(len(self), self.num_items))

    def rivals(self, columns: Int[np.ndarray, " B"]) -> sp.csr_array:
        """Sparse ``[B, N]`` ones: the distinct items of each history, less the row's target column."""
        keys = np.unique(self.rows * np.int64(self.num_items) + self.items - 1)
        rows, items = np.divmod(keys, self.num_items)
        is_rival = items != columns[rows]
        offsets = np.searchsorted(rows[is_rival], np.arange(len(self) + 1))
        ones = np.ones(int(is_rival.sum()), dtype=np.float32)
        return sp.csr_array((ones, items[is_rival], offsets), shape=(len(self), self.num_items))

    def repeats(self, columns: Int[np.ndarray, " B"]) -> Bool[np.ndarray, " B"]:
        """Whether each row's target column is among the history's items."""
        hits = np.bincount(self.rows, weights=self.items - 1 == columns[self.rows], minlength=len(self))
        is_repeat: Bool[np.ndarray, " B"] = hits > 0
        return is_repeat

    def remember(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result of ``compute``, from before if it is among the last few."""
        if key not in self._remembered:
            if len(self._remembered) == _REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = compute()
        value: T = self._remembered[key]
        return value


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The users of an evaluation split: a history and a target each.

    Attributes:
        items: ``[T]`` item ids ``1..N`` of all histories, chronological.
        offsets: ``[B + 1]`` where each history starts, and the end.
        targets: ``[B]`` item ids ``1..N``.
    """

    items: Int[np.ndarray, " T"]
    offsets: Int[np.ndarray, " _"]
    targets: Int[np.ndarray, " B"]

    def __len__(self) -> int:
        return len(self.targets)

    def block(self, start: int, stop: int, num_items: int) -> tuple[Histories, Int[np.ndarray, " B"]]:
        """Rows ``start..stop`` and the columns of their targets."""
        offsets = self.offsets[start : stop + 1]
        items = self.items[offsets[0] : offsets[-1]]
        return Histories(items, offsets - offsets[0], num_items), self.targets[start:stop] - 1

    def sample(self, count: int, seed: int = 0) -> HeldOut:
        """A fixed random sample of at most ``count`` users, in their order."""
        if len(self) <= count:
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self), count, replace=False))
        rows = [self.items[self.offsets[row] : self.offsets[row + 1]] for row in chosen]
        offsets = offsets_of([len(row) for row in rows])
        return HeldOut(np.concatenate(rows, dtype=np.int64), offsets, self.targets[chosen])

    def check(self, num_items: int) -> None:
        """Raise DataError for no or empty histories, targets that do not fit them, or unknown items."""
        if len(self.offsets) == 1:
            raise DataError("no histories to evaluate the baselines on: the evaluation split is empty")
        if len(self.offsets) - 1 != len(self.targets):
            raise DataError(f"{len(self.offsets) - 1} histories but {len(self.targets)} targets")
        if (is_empty := np.diff(self.offsets) <= 0).any():
            raise DataError(f"history {int(np.argmax(is_empty))} is empty: leave out users without a history")
        for what, items in (("targets", self.targets), ("histories", self.items)):
            lowest, highest = int(items.min()), int(items.max())
            if lowest < 1 or highest > num_items:
                raise DataError(f"{what} span items {lowest}..{highest}, expected 1..{num_items}")
