"""The two floors: chance and popularity."""

import numpy as np
from jaxtyping import Float, Int, UInt64

from missrec_pl.baselines.base import BaselineData
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.scores import Ranks, Scores, SharedScores


class RandomBaseline:
    """Chance: distinct uniform scores, drawn anew for every history from a hash of the history and the seed.

    The scores themselves are never made: the target's rank among N is uniform in 1..N, and so is that of every
    other item among the rest. A row's ranks depend neither on the block nor on the number of processes.
    """

    name = "random"
    is_sparse = True

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._num_items = 0

    def fit(self, data: BaselineData) -> None:
        """Remember the number of items."""
        self._num_items = data.num_items

    def scores(self, histories: Histories) -> Scores:
        """Itself: scores are drawn when they are ranked."""
        return self

    def ranks(self, histories: Histories, columns: Int[np.ndarray, " B"]) -> Ranks:
        """Draw the rank among the items outside of the history, then put its items in one by one."""
        rivals = histories.rivals(columns)
        num_rivals = np.diff(rivals.indptr)
        drawn = _hash(_row_hashes(histories) + np.uint64(self._seed))
        place = np.floor(_uniform(drawn) * (self._num_items - num_rivals))
        num_above = np.zeros(len(histories))
        for number in range(int(num_rivals.max(initial=0))):
            drawn = _hash(drawn + np.uint64(1))
            rank, size = place + num_above + 1, self._num_items - num_rivals + number
            is_above = np.floor(_uniform(drawn) * (size + 1)) < rank
            num_above += is_above & (number < num_rivals)
        return Ranks(included=1 + place + num_above, excluded=1 + place)


class Popularity:
    """The number of times an item occurs in the training parts, the same for every user."""

    name = "popularity"
    is_sparse = True

    def __init__(self) -> None:
        self._scores = SharedScores(np.empty(0), np.empty(0))

    def fit(self, data: BaselineData) -> None:
        """Count the training interactions of each item."""
        counts = data.counts().astype(np.float64)
        self._scores = SharedScores(counts, np.sort(counts))

    def scores(self, histories: Histories) -> SharedScores:
        """The counts."""
        return self._scores


def _row_hashes(histories: Histories) -> UInt64[np.ndarray, " B"]:
    """A hash of each row's items and their order."""
    items = histories.items.astype(np.uint64)
    place = (np.arange(len(items)) - histories.offsets[histories.rows]).astype(np.uint64)
    mixed = _hash(items + (place << np.uint64(32)))
    hashes: UInt64[np.ndarray, " B"] = np.add.reduceat(mixed, histories.offsets[:-1])
    return hashes


def _hash(values: UInt64[np.ndarray, " B"]) -> UInt64[np.ndarray, " B"]:
    """SplitMix64 (Steele, Lea and Flood, 2014): every bit of the input changes half the bits of the output."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64[np.ndarray, " B"] = values ^ (values >> np.uint64(31))
    return mixed


def _uniform(values: UInt64[np.ndarray, " B"]) -> Float[np.ndarray, " B"]:
    """Numbers in [0, 1) from the upper 53 bits."""
    return (values >> np.uint64(11)).astype(np.float64) * 2.0**-53
