"""Which items stood close to which in the training part: gathered block by block, so that any catalogue fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.data.global_sequences import PAIR_WINDOW

if TYPE_CHECKING:
    import scipy.sparse as sp

LARGE_CATALOGUE = 50_000
"""Above so many items, neighbours are searched in cells, fewer are kept, and slow constants are not varied."""
ROW_LIMIT = 1000
ROW_LIMIT_IF_LARGE = 200
"""Partners that an item keeps in a catalogue of more than 50,000."""
BLOCK_PAIRS = 1 << 23
"""Pairs gathered at once."""


@dataclass(frozen=True)
class PairBlock:
    """All pairs of an item of ``rows`` and another item within the window in a sequence.

    Attributes:
        rows: items from 0.
        rows_of_pairs: ``[E]`` the item, counted from the block's first.
        others: ``[E]`` the other item, from 0.
        gaps: ``[E]`` steps between the two, 1 for neighbours; ascending.
        is_backward: ``[E]`` whether the other one came before.
    """

    rows: range
    rows_of_pairs: Int[np.ndarray, " E"]
    others: Int[np.ndarray, " E"]
    gaps: Int[np.ndarray, " E"]
    is_backward: Bool[np.ndarray, " E"]


def pair_blocks(
    columns: Int[np.ndarray, " I"],
    owner: Int[np.ndarray, " I"],
    num_items: int,
    window: int = PAIR_WINDOW,
    block_pairs: int = BLOCK_PAIRS,
) -> Iterator[PairBlock]:
    """Every item's pairs, both ways, in blocks of rows; an item is no partner of itself.

    Args:
        columns: items from 0 of all sequences, chronological for each.
        owner: the sequence that each belongs to, ascending.
        num_items: N; the blocks' rows are ``0..N - 1`` in order.
        window: the largest gap that counts.
        block_pairs: pairs gathered at once (or those of one item, if more); the result does not depend on it.
    """
    pairs_before = np.cumsum(np.bincount(columns, minlength=num_items) * 2 * window)
    bounds = [0, *(np.flatnonzero(np.diff(pairs_before // block_pairs)) + 1).tolist(), num_items]
    for rows in (range(low, high) for low, high in pairwise(bounds)):
        found = [_pairs_at(columns, owner, gap, rows) for gap in range(1, window + 1)]
        gaps = np.repeat(np.arange(1, window + 1, dtype=np.int8), [len(pairs[0]) for pairs in found])
        sources, others, is_backward = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        yield PairBlock(rows, sources - rows.start, others, gaps, is_backward)


def owners(offsets: Int[np.ndarray, " _"]) -> Int[np.ndarray, " I"]:
    """The sequence of each item, from the offsets of the sequences."""
    return np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))


def strongest(matrix: sp.csr_array, row_limit: int) -> sp.csr_array:
    """The largest entries of each row; of equal ones the first columns."""
    matrix.sum_duplicates()
    is_kept = matrix.data > 0
    for row in np.flatnonzero(np.diff(matrix.indptr) > row_limit):
        start, stop = matrix.indptr[row], matrix.indptr[row + 1]
        order = np.argsort(-matrix.data[start:stop], kind="stable")
        is_kept[start + order[row_limit:]] = False
    kept = np.concatenate([[0], np.cumsum(is_kept)])
    entries = matrix.data[is_kept], matrix.indices[is_kept], kept[matrix.indptr]
    return type(matrix)(entries, shape=matrix.shape)


def _pairs_at(
    columns: Int[np.ndarray, " I"], owner: Int[np.ndarray, " I"], gap: int, rows: range
) -> tuple[Int[np.ndarray, " E"], Int[np.ndarray, " E"], Bool[np.ndarray, " E"]]:
    """All (item, item ``gap`` away from it) of a sequence with the first in ``rows``, and which are backward."""
    is_pair = (owner[gap:] == owner[:-gap]) & (columns[gap:] != columns[:-gap])
    before, after = columns[:-gap][is_pair], columns[gap:][is_pair]
    forward = (before >= rows.start) & (before < rows.stop)
    backward = (after >= rows.start) & (after < rows.stop)
    sources = np.concatenate([before[forward], after[backward]])
    neighbours = np.concatenate([after[forward], before[backward]])
    return sources, neighbours, np.arange(len(sources)) >= forward.sum()


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
    block_pairs: int = BLOCK_PAIRS,
) -> ItemPairs:
    """Count which items stood up to ``PAIR_WINDOW`` steps from which.

    Args:
        items: training items ``1..N`` of all users, chronological for each.
        offsets: where each user's items start, and the end.
        num_items: N.
        row_limit: the most frequent pairs that an item keeps; None: 1,000, or 200 in a large catalogue.
        block_pairs: see :func:`pair_blocks`.
    """
    if row_limit is None:
        row_limit = ROW_LIMIT if num_items <= LARGE_CATALOGUE else ROW_LIMIT_IF_LARGE
    frequency = np.bincount(items, minlength=num_items + 1)
    found = pair_blocks(items - 1, owners(offsets), num_items, block_pairs=block_pairs)
    blocks = [_count(pairs, num_items, row_limit) for pairs in found]
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
