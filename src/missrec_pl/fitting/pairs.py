"""Which items stood close to which in the training part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.fitting.sequence_pairs import (
    LARGE_CATALOGUE,
    ROW_LIMIT,
    ROW_LIMIT_IF_LARGE,
    PairBlock,
    owners,
    pair_blocks,
)

_BLOCK_PAIRS = 1 << 23


@dataclass(frozen=True)
class ItemPairs:
    """Which items stood close to which, and how often at which distance.

    Attributes:
        offsets: ``[N + 2]`` item j's pairs are ``offsets[j]:offsets[j + 1]``; the padding item 0 has none.
        neighbours: ``[E]`` the other item of each pair.
        counts: ``[E, R]`` how often, per relation: gaps ``1..PAIR_WINDOW`` after j, then before it.
        frequency: ``[N + 1]`` training interactions of each item.
        is_cut: ``[N + 1]`` True for the items that had more pairs than they may keep.
    """

    offsets: Int[Tensor, " _"]
    neighbours: Int[Tensor, " E"]
    counts: Float[Tensor, "E R"]
    frequency: Float[Tensor, " _"]
    is_cut: Bool[Tensor, " _"]


def item_pairs(
    items: Int[np.ndarray, " I"],
    offsets: Int[np.ndarray, " _"],
    num_items: int,
    *,
    row_limit: int | None = None,
    block_pairs: int = _BLOCK_PAIRS,
) -> ItemPairs:
    """Count which items stood up to ``PAIR_WINDOW`` steps from which.

    Args:
        items: training items ``1..N`` of all users, chronological for each.
        offsets: where each user's items start, and the end.
        num_items: N.
        row_limit: the most frequent pairs that an item keeps; None: 1,000, or 200 in a large catalogue.
        block_pairs: pairs gathered at once; changes the memory needed alone.
    """
    if row_limit is None:
        row_limit = ROW_LIMIT if num_items <= LARGE_CATALOGUE else ROW_LIMIT_IF_LARGE
    frequency = np.bincount(items, minlength=num_items + 1)
    blocks = [
        _count(pairs, num_items, row_limit)
        for pairs in pair_blocks(items - 1, owners(offsets), num_items, PAIR_WINDOW, block_pairs)
    ]
    degrees, neighbours, counts, is_cut = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return ItemPairs(
        torch.from_numpy(np.concatenate([[0, 0], np.cumsum(degrees)])),  # padding, too, starts at 0
        torch.from_numpy(neighbours),
        torch.from_numpy(counts),
        torch.from_numpy(frequency.astype(np.float32)),
        torch.from_numpy(np.concatenate([[False], is_cut])),
    )


def _count(
    block: PairBlock, num_items: int, row_limit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Degrees of the rows, neighbours (ids from 1), each pair's counts by relation, and which rows are cut."""
    keys = block.rows_of_pairs.astype(np.int64) * num_items + block.others
    relations = np.where(block.is_backward, PAIR_WINDOW, 0) + block.gaps - 1
    pairs, inverse = np.unique(keys, return_inverse=True)
    flat = np.bincount(inverse * 2 * PAIR_WINDOW + relations, minlength=len(pairs) * 2 * PAIR_WINDOW)
    counts = flat.reshape(-1, 2 * PAIR_WINDOW).astype(np.float32)
    row, neighbour = np.divmod(pairs, num_items)
    order = np.lexsort((neighbour, -counts.sum(1), row))
    degree = np.bincount(row, minlength=len(block.rows))
    rank = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
    kept = np.sort(order[rank < row_limit])
    return np.minimum(degree, row_limit), neighbour[kept] + 1, counts[kept], degree > row_limit
