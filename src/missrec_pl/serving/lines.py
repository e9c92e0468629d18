"""Lists of numbers of different lengths, laid end to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Lines:
    """Some lists.

    Attributes:
        values: ``[S]`` of all, one list behind the other.
        sizes: ``[B]`` length of each.
    """

    values: Ints
    sizes: Ints

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]]) -> Lines:
        """The same numbers."""
        sizes = np.fromiter(map(len, lists), np.int64, len(lists))
        return cls(np.fromiter(chain.from_iterable(lists), np.int64, int(sizes.sum())), sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[Ints]:
        return iter(np.split(self.values, self._ends[:-1]) if len(self) else [])

    @cached_property
    def _ends(self) -> Ints:
        return self.sizes.cumsum()

    @property
    def owner(self) -> Ints:
        """``[S]`` the list of each number."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @property
    def last(self) -> Ints:
        """``[B]`` the last number of each; none may be empty."""
        return self.values[self._ends - 1]

    def cut(self, block: slice) -> Lines:
        """Consecutive ones."""
        start, stop, _ = block.indices(len(self))
        bounds = np.concatenate([[0], self._ends])
        return Lines(self.values[bounds[start] : bounds[stop]], self.sizes[start:stop])

    def filled(self) -> Lines:
        """Those that are not empty."""
        return Lines(self.values, self.sizes[self.sizes > 0])

    def newest(self, count: int) -> tuple[Ints, Ints]:
        """``[B, L]`` the last ``count`` numbers of each at most, right-padded with 0, and ``[B]`` how many."""
        length = np.minimum(self.sizes, count)
        place = np.arange(length.max(initial=0))
        is_here = place < length[:, None]
        padded = np.zeros(is_here.shape, np.int64)
        padded[is_here] = self.values[((self._ends - length)[:, None] + place)[is_here]]
        return padded, length
