"""Metrics of single users from their targets' ranks, and the groups that users are compared in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_METRIC = re.compile(r"(recall|ndcg|mrr)@([1-9]\d*)|mrr")


def metric_of_users(rank: NDArray[Any], name: str, *, is_compat: bool = False) -> NDArray[np.float64]:
    """``[U]`` metric of each user; the mean over users is the run's metric.

    Args:
        rank: ``[U]`` rank of each target, 1 is best, infinite for one that is no candidate.
        name: ``recall@K``, ``ndcg@K``, ``mrr@K`` or ``mrr``.
        is_compat: whether places are counted as by the released evaluator, one more than K.

    Raises:
        ValueError: another name.
    """
    found = _METRIC.fullmatch(name)
    if found is None:
        raise ValueError(f"{name}: ranks give recall@K, ndcg@K, mrr@K and mrr")
    if found[1] is None:
        return 1 / rank.astype(np.float64)
    is_hit = rank <= int(found[2]) + int(is_compat)
    discounts = {"ndcg": np.log2(1 + rank), "mrr": rank, "recall": np.ones(1)}
    of_users: NDArray[np.float64] = is_hit / discounts[found[1]]
    return of_users


@dataclass(frozen=True)
class Ranges:
    """Ranges of whole numbers that divide the test users."""

    column: str  # of the ranks
    least: int  # the first range starts here
    edges: tuple[int, ...]  # the ranges after the first start here, ascending

    def name(self, number: int) -> str:
        """A range as ``5-9``; ``50+`` for the last one."""
        starts = (self.least, *self.edges)
        if number == len(self.edges):
            return f"{starts[-1]}+"
        low, high = starts[number], starts[number + 1] - 1
        return f"{low}" if high == low else f"{low}-{high}"

    def of_users(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """``[U]`` range of each user from 0, -1 where its value is NaN."""
        numbers = values.astype(np.float64)
        is_known = ~np.isnan(numbers)
        if self.column == "redundancy":  # in percent
            numbers = np.clip(np.round(100 * numbers), 0, 100)
        return np.where(is_known, np.searchsorted(np.asarray(self.edges), numbers, side="right"), -1)


# The paper's figure 4 names no ranges; these leave a readable number of users in each on its data.
RANGES = {
    "item_frequency": Ranges("item_count", 0, (1, 5, 10, 20, 50)),
    "history_length": Ranges("history_length", 1, (3, 5, 10, 20)),
    "redundancy": Ranges("redundancy", 0, (40, 50, 60, 70)),
}
