"""Items that other users met next to those of the history."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Int

from missrec_pl.baselines.base import BaselineData, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.registry import Context, register
from missrec_pl.baselines.sparse_scores import SparseScores

_WINDOW = 10
ROW_LIMIT = 1000
ROW_LIMIT_IF_LARGE = 200
# Pairs gathered at once: a dozen bytes each, four times that while they are merged.
_BLOCK_PAIRS = 2**24


class CooccurrenceKNN:
    """How often an item stood close to the history's items in the training sequences.

    ``score(i) = sum_j decay^age(j) c(j, i) / sqrt(n(j))`` over the history's items j, where ``n(j)`` counts j's
    training interactions and ``c(j, i)`` sums ``pair_decay^(gap - 1)`` over the times that i came after j within
    10 steps, and ``backward`` times that where i came before.

    The sequential item-to-item rules of Ludewig and Jannach, *Evaluation of session-based recommendation
    algorithms* (UMUAI 2018), with the item-based normalisation of Deshpande and Karypis (TOIS 2004). Each item
    keeps its 1,000 strongest neighbours (200 in a catalogue of more than 50,000 items).

    Constants: ``pair_decay``, ``backward``, and the ``decay`` of each step back in the history.
    """

    name = "cooccurrence_knn"
    is_sparse = True
    parts: Sequence[TunableBaseline] = ()

    def __init__(self) -> None:
        self._data: BaselineData | None = None
        self._matrices: dict[tuple[float, float], sp.csr_array] = {}

    def fit(self, data: BaselineData) -> None:
        """Keep the training sequences; the counts follow from the constants."""
        if (np.diff(data.train_offsets) < 2).all():
            raise LeftOutError("no training sequence has two items")
        self._data = data

    def grid(self, chosen: Mapping[str, Sequence[Settings]]) -> Sequence[Settings]:
        """Pair decay x backward x decay; the decay alone in a large catalogue."""
        assert self._data is not None, "fit comes first"
        pairs = [(0.8, 0.5)] if self._data.is_large else [(0.8, 0.5), (0.8, 1.0), (0.6, 0.5), (0.6, 1.0)]
        return [
            {"pair_decay": pair_decay, "backward": backward, "decay": decay}
            for pair_decay, backward in pairs
            for decay in (0.8, 0.6, 0.4)
        ]

    def scores(self, histories: Histories) -> SparseScores:
        """With the constants to fall back on."""
        return self.scores_with(histories, self.grid({})[0])

    def scores_with(self, histories: Histories, settings: Settings) -> SparseScores:
        """Sums over the history; items that never stood close to it score 0."""

        def compute() -> SparseScores:
            matrix = self.matrix(settings["pair_decay"], settings["backward"])
            return SparseScores.of(histories.decayed(settings["decay"]) @ matrix)

        return histories.remember((self.name, *settings.items()), compute)

    def matrix(self, pair_decay: float, backward: float) -> sp.csr_array:
        """Sparse ``[N, N]`` normalised co-occurrences; row = item of the history."""
        key = (pair_decay, backward)
        if key not in self._matrices:
            assert self._data is not None, "fit comes first"
            limit = ROW_LIMIT_IF_LARGE if self._data.is_large else ROW_LIMIT
            self._matrices[key] = cooccurrences(self._data, pair_decay, backward, row_limit=limit)
        return self._matrices[key]


def cooccurrences(
    data: BaselineData,
    pair_decay: float,
    backward: float,
    *,
    window: int = _WINDOW,
    row_limit: int = ROW_LIMIT,
    block_pairs: int = _BLOCK_PAIRS,
) -> sp.csr_array:
    """Normalised co-occurrences ``c(j, i) / sqrt(n(j))``.

    Args:
        data: The training sequences.
        pair_decay: Weight of each step beyond the first between the two.
        backward: Weight of i before j, against 1 for i after j.
        window: The largest gap that counts.
        row_limit: The strongest entries that a row keeps.
        block_pairs: Pairs gathered at once (or those of one item, if more); changes the memory needed alone.

    Returns:
        Sparse ``[N, N]`` float32, row j - 1 for item j, nothing on the diagonal.
    """
    counts = data.counts()
    owner = np.repeat(np.arange(len(data.train_offsets) - 1, dtype=np.int32), np.diff(data.train_offsets))
    blocks = []
    for rows in row_blocks(counts, 2 * window, block_pairs):
        pairs = [pairs_at(data.train_items - 1, owner, gap, rows) for gap in range(1, window + 1)]
        sources, neighbours, is_backward = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
        gap_weights = np.power(np.float32(pair_decay), np.arange(window, dtype=np.float32))
        weights = np.repeat(gap_weights, [len(pair[0]) for pair in pairs])
        weights[is_backward] *= np.float32(backward)
        shape = (rows.stop - rows.start, data.num_items)
        blocks.append(
            strongest(sp.csr_array((weights, (sources - rows.start, neighbours)), shape=shape), row_limit)
        )
    matrix = sp.vstack(blocks, format="csr")
    scale = 1 / np.sqrt(np.maximum(counts, 1))
    matrix.data *= np.repeat(scale.astype(np.float32), np.diff(matrix.indptr))
    return matrix


def row_blocks(counts: Int[np.ndarray, " N"], per_item: int, block_pairs: int) -> list[range]:
    """Ranges of rows of about so many pairs each."""
    number = np.cumsum(counts * per_item) // block_pairs
    bounds = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(counts)]
    return [range(low, high) for low, high in pairwise(bounds)]


def pairs_at(
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


@register("cooccurrence_knn")
def _cooccurrence_knn(data: BaselineData, context: Context) -> CooccurrenceKNN:
    return CooccurrenceKNN()
