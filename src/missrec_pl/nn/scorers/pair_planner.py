"""Which pairs the items of a batch are in, found by the loader."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.plans import padded_size
from missrec_pl.data.sequences import Ints

_PRODUCTS_PER_PAIR = 400  # so many products of a matrix product take as long as to place one pair by itself
SOURCE, ENTRY, PLACE, ITEMS = "pairs.source", "pairs.entry", "pairs.place", "pairs.items"


@dataclass(frozen=True)
class PairPlanner:
    """Lists the pairs of the items of a batch's histories, where a row has one target.

    The arrays ``SOURCE [E]`` and ``ENTRY [E]`` say whose pair each is and where it is stored, ``E`` one of few
    sizes. A source is one of the distinct ``ITEMS [S]``, and ``PLACE [B * L]`` says which of them each place
    holds; or, without these two, it is a place itself. What fills up belongs to a source that no place has.

    Attributes:
        offsets: ``[N + 2]`` where each item's pairs start.
        num_items: number ``N`` of items.
    """

    offsets: Ints
    num_items: int

    def __call__(self, batch: SequenceBatch) -> dict[str, NDArray[np.int64]]:
        """See :class:`Planner`."""
        if batch.place is not None:
            return {}
        ids = batch.history.numpy() if batch.items is None else batch.items.ids.numpy()[batch.history.numpy()]
        items, place = np.unique(ids, return_inverse=True)
        degree = np.diff(self.offsets)
        met = int(degree[ids].sum())
        if not is_by_item(len(ids), len(items), self._num_columns(batch), met):
            source, entry = self._entries(ids.ravel())
            return {SOURCE: source, ENTRY: entry}
        few = np.zeros(padded_size(len(items) + 1), np.int64)  # the last one is nobody's
        few[: len(items)] = items
        source, entry = self._entries(few)
        source[source == len(few)] = len(few) - 1
        return {SOURCE: source, ENTRY: entry, PLACE: place.ravel().astype(np.int64), ITEMS: few}

    def _num_columns(self, batch: SequenceBatch) -> int:
        if batch.items is None or batch.items.is_whole:
            return self.num_items
        return len(batch.target) if batch.candidates is None else batch.candidates.rows.numel()

    def _entries(self, items: Ints) -> tuple[Ints, Ints]:
        """The pairs of some items, filled up with pairs of none: source ``len(items)``."""
        degree = np.diff(self.offsets)[items]
        count = int(degree.sum())
        source = np.full(padded_size(count), len(items))
        source[:count] = np.repeat(np.arange(len(items)), degree)
        entry = np.zeros_like(source)
        entry[:count] = np.arange(count) + np.repeat(self.offsets[items] - (np.cumsum(degree) - degree), degree)
        return source, entry


def is_by_item(num_rows: int, num_items: int, num_columns: int, num_met: int) -> bool:
    """Whether a block of all distinct items' candidates and a product cost less than placing each met pair."""
    return num_rows * num_items * num_columns < _PRODUCTS_PER_PAIR * num_met
