"""Items that other users met next to those of the history."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from missrec_pl.baselines.base import BaselineData, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.registry import Context, register
from missrec_pl.baselines.sparse_scores import SparseScores
from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.fitting.sequence_pairs import ROW_LIMIT, ROW_LIMIT_IF_LARGE, owners, pair_blocks, strongest

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
    window: int = PAIR_WINDOW,
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
    columns, owner = data.train_items - 1, owners(data.train_offsets)
    gap_weights = np.power(np.float32(pair_decay), np.arange(window, dtype=np.float32))
    blocks = []
    for pairs in pair_blocks(columns, owner, data.num_items, window, block_pairs):
        weights = gap_weights[pairs.gaps - 1]
        weights[pairs.is_backward] *= np.float32(backward)
        shape = (len(pairs.rows), data.num_items)
        block = sp.csr_array((weights, (pairs.rows_of_pairs, pairs.others)), shape=shape)
        blocks.append(strongest(block, row_limit))
    matrix = sp.vstack(blocks, format="csr")
    scale = 1 / np.sqrt(np.maximum(data.counts(), 1))
    matrix.data *= np.repeat(scale.astype(np.float32), np.diff(matrix.indptr))
    return matrix


@register("cooccurrence_knn")
def _cooccurrence_knn(data: BaselineData, context: Context) -> CooccurrenceKNN:
    return CooccurrenceKNN()
