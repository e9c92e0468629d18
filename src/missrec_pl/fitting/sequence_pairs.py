"""Pairs of items that are close in training sequences, gathered block by block, so that any catalogue fits."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int

LARGE_CATALOGUE = 50_000
"""Above so many items, neighbours are searched in cells, fewer are kept, and slow constants are not varied."""
ROW_LIMIT = 1000
ROW_LIMIT_IF_LARGE = 200
"""Partners that an item keeps in a catalogue of more than 50,000."""


@dataclass(frozen=True)
class PairBlock:
    """All pairs of an item of ``rows`` and another item within the window in a sequence.

    Attributes:
        rows: Items from 0.
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
    columns: Int[np.ndarray, " I"], owner: Int[np.ndarray, " I"], num_items: int, window: int, block_pairs: int
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
    return sp.csr_array((matrix.data[is_kept], matrix.indices[is_kept], kept[matrix.indptr]), shape=matrix.shape)


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
