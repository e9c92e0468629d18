"""Cleaning interactions: first interactions in time order, and the k-core."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def k_core(users: Ints, items: Ints, k: int) -> npt.NDArray[np.bool_]:
    """Which interactions stay when users and items with fewer than ``k`` of them are dropped until none is left.

    Args:
        users: User of every interaction, any integers [T].
        items: Item of every interaction, any integers [T].
        k: Interactions that every remaining user and item has at least.

    Returns:
        bool [T].
    """
    _, users = np.unique(users, return_inverse=True)
    _, items = np.unique(items, return_inverse=True)
    kept = np.ones(len(users), bool)
    while True:
        before = int(kept.sum())
        kept &= np.bincount(items[kept], minlength=int(items.max(initial=-1)) + 1)[items] >= k
        kept &= np.bincount(users[kept], minlength=int(users.max(initial=-1)) + 1)[users] >= k
        if int(kept.sum()) == before:
            return kept


def first_in_time(users: Ints, items: Ints, times: Ints, ties: Ints) -> Ints:
    """Every user's first interaction with every item, users ascending, each user's in time order.

    Args:
        users: User of every interaction [T].
        items: Item of every interaction [T].
        times: Time of every interaction [T].
        ties: Orders a user's interactions of the same time (a basket) [T].

    Returns:
        Indices into the arrays.
    """
    order = np.lexsort((items, neutral_order(ties, items), times, users))
    distinct, codes = np.unique(items, return_inverse=True)
    _, first = np.unique(users[order] * len(distinct) + codes[order], return_index=True)
    chosen: Ints = order[np.sort(first)]
    return chosen


def neutral_order(ties: Ints, items: Ints) -> npt.NDArray[np.uint64]:
    """A fixed shuffle of the items of a basket.

    The products of a basket have no order in time. By product id the oldest products would come first and the
    newest, least popular ones would become the test targets; a hash (splitmix64) prefers none.
    """
    with np.errstate(over="ignore"):
        mixed = ties.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + items.astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
