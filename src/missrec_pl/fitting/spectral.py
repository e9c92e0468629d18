"""Spectral item embeddings: where items stand in the graph of co-occurrence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.fitting.sequence_pairs import LARGE_CATALOGUE, ROW_LIMIT_IF_LARGE, owners, pair_blocks, strongest

if TYPE_CHECKING:
    import scipy.sparse as sp

_PAIR_DECAY = 0.8  # weight of each step beyond the first between the two
_SHRINKAGE = 2.0  # weight that every item is taken to have with none: few purchases place it less firmly
_DENSE_ITEMS = 512  # so few have all their axes computed
_NOTHING = 1e-6  # shorter vectors are rounding


def spectral_embeddings(
    items: Int[np.ndarray, " I"],
    offsets: Int[np.ndarray, " _"],
    num_items: int,
    width: int,
    fold_of_user: Int[np.ndarray, " U"] | None = None,
    *,
    row_limit: int | None = None,
) -> tuple[Float[Tensor, "N1 R"], Float[Tensor, "G N1 R"] | None]:
    """The leading axes of the graph of items that stood close to one another in a training sequence.

    Two items are joined with the weight ``sum decay^(gap - 1)`` over all times that they stood up to 10 steps from
    one another. Of the matrix ``D^-1/2 A D^-1/2`` (``D``: an item's weights added up, and some more) the
    eigenvectors of the largest eigenvalues, times the eigenvalues' roots, place the items, as in spectral
    embeddings (Belkin and Niyogi, *Laplacian Eigenmaps*, Neural Computation 2003).

    Args:
        items: training items ``1..N`` of all users, chronological for each.
        offsets: where each user's items start, and the end.
        num_items: N.
        width: R, the number of axes; axes of eigenvalues that are not positive stay 0.
        fold_of_user: folds ``0..G - 1`` of users; None for no folds.
        row_limit: the strongest partners that an item keeps; None: all, or 200 in a large catalogue.

    Returns:
        Unit vectors of items ``0..N`` by all users, 0 for an item without partners; and by all users but a fold's,
        for each fold.
    """
    if row_limit is None and num_items > LARGE_CATALOGUE:
        row_limit = ROW_LIMIT_IF_LARGE
    lengths = np.diff(offsets)
    owner = owners(offsets)
    weights = _weights(items - 1, owner, num_items, row_limit)
    vectors = _places(weights, width)
    if fold_of_user is None:
        return vectors, None
    is_joined = weights.astype(bool)
    without_fold = torch.empty(int(fold_of_user.max()) + 1, *vectors.shape)
    for fold, table in enumerate(without_fold):
        own = np.repeat(fold_of_user == fold, lengths)
        brought = _weights(items[own] - 1, owner[own], num_items, None)
        table.copy_(_places(weights - brought.multiply(is_joined), width))
    return vectors, without_fold


def _weights(
    columns: Int[np.ndarray, " I"], owner: Int[np.ndarray, " I"], num_items: int, row_limit: int | None
) -> sp.csr_array:
    """Symmetric ``[N, N]``: how firmly two items are joined."""
    import scipy.sparse as sp

    gap_weights = _PAIR_DECAY ** np.arange(PAIR_WINDOW)
    blocks = []
    for pairs in pair_blocks(columns, owner, num_items):
        cells = (gap_weights[pairs.gaps - 1], (pairs.rows_of_pairs, pairs.others))
        block = sp.csr_array(cells, shape=(len(pairs.rows), num_items))
        if row_limit is not None:
            block = strongest(block, row_limit)
        block.sum_duplicates()
        blocks.append(block)
    matrix = sp.vstack(blocks, format="csr")
    return matrix if row_limit is None else matrix.maximum(matrix.T).tocsr()


def _places(weights: sp.csr_array, width: int) -> Float[Tensor, "N1 R"]:
    import scipy.sparse as sp
    from scipy.linalg import eigh  # tenths of a second, which serving does without
    from scipy.sparse.linalg import eigsh

    degree = np.asarray(weights.sum(1)).ravel()
    scale = 1 / np.sqrt(degree + _SHRINKAGE)
    matrix = sp.diags_array(scale) @ weights @ sp.diags_array(scale)
    num_items = len(degree)
    if num_items <= max(_DENSE_ITEMS, width + 1):
        values, axes = eigh(matrix.toarray())
        values, axes = values[-width:], axes[:, -width:]
    else:
        if num_items > LARGE_CATALOGUE:
            matrix = matrix.astype(np.float32)  # half the time
        # The start decides nothing but rounding; a fixed one gives the same in every process and run.
        values, axes = eigsh(matrix, width, which="LA", v0=np.sqrt(degree + _SHRINKAGE).astype(matrix.dtype))
    places = axes * np.sqrt(np.maximum(values, 0))
    lengths = np.linalg.norm(places, axis=1, keepdims=True)
    is_placed = (lengths > _NOTHING) & (degree[:, None] > _NOTHING)
    vectors = np.zeros((num_items + 1, width), np.float32)
    vectors[1:, : places.shape[1]] = np.where(is_placed, places / np.maximum(lengths, _NOTHING), 0)
    return torch.from_numpy(vectors)
