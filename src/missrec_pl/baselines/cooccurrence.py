"""Items that other users met next to those of the history, alone and together with similar content."""

import numpy as np
import scipy.sparse as sp

from missrec_pl.baselines.base import Baseline, BaselineData, Chosen, Grid, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.content import ContentKNN
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.scores import Layout, SparseScores, decayed_sums
from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.fitting.sequence_pairs import ROW_LIMIT, ROW_LIMIT_IF_LARGE, owners, pair_blocks, strongest

# Pairs gathered at once: a dozen bytes each, four times that while they are merged.
_BLOCK_PAIRS = 2**24


class CooccurrenceKNN(TunableBaseline):
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

    def __init__(self) -> None:
        self._data: BaselineData | None = None
        self._matrices: dict[tuple[float, float], sp.csr_array] = {}

    def fit(self, data: BaselineData) -> None:
        """Keep the training sequences; the counts follow from the constants."""
        if (np.diff(data.train_offsets) < 2).all():
            raise LeftOutError("no training sequence has two items")
        if self._data is not data:
            self._data, self._matrices = data, {}

    def grid(self, chosen: Chosen) -> Grid:
        """Pair decay x backward x decay; the decay alone in a large catalogue."""
        assert self._data is not None, "fit comes first"
        pairs = [(0.8, 0.5)] if self._data.is_large else [(0.8, 0.5), (0.8, 1.0), (0.6, 0.5), (0.6, 1.0)]
        return [
            {"pair_decay": pair_decay, "backward": backward, "decay": decay}
            for pair_decay, backward in pairs
            for decay in (0.8, 0.6, 0.4)
        ]

    def scores_with(self, histories: Histories, settings: Settings) -> SparseScores:
        """Sums over the history; items that never stood close to it score 0."""
        pair_decay, backward = settings["pair_decay"], settings["backward"]
        return decayed_sums(histories, self.name, settings, lambda: self.matrix(pair_decay, backward))

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
    """Normalised co-occurrences ``c(j, i) / sqrt(n(j))``: sparse ``[N, N]`` float32, row j - 1 for item j.

    Args:
        data: The training sequences.
        pair_decay: Weight of each step beyond the first between the two.
        backward: Weight of i before j, against 1 for i after j.
        window: The largest gap that counts.
        row_limit: The strongest entries that a row keeps.
        block_pairs: Pairs gathered at once; see :func:`pair_blocks`.
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


class HybridKNN(TunableBaseline):
    """``score(i) = content(i) + weight log(1 + gain cooccurrence(i))``.

    The logarithm keeps frequent pairs from drowning the content, as in the log-scaled counts of text retrieval
    (Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, 1988).

    Constants: those chosen for the two parts, then ``weight`` and ``gain``.
    """

    name = "hybrid_knn"
    parts: tuple[ContentKNN, CooccurrenceKNN]
    is_sparse = True

    def __init__(self, content: Baseline, cooccurrence: Baseline) -> None:
        assert isinstance(content, ContentKNN)
        assert isinstance(cooccurrence, CooccurrenceKNN)
        self.parts = (content, cooccurrence)

    def fit(self, data: BaselineData) -> None:
        """Fit the parts that are not yet."""
        for part in self.parts:
            part.fit(data)

    def grid(self, chosen: Chosen) -> Grid:
        """Weight x gain for each choice of the parts' constants."""
        options = [chosen.get(part.name) or part.grid({})[:1] for part in self.parts]
        return [
            {**_prefixed("content", content), **_prefixed("cooccurrence", pairs), "weight": weight, "gain": gain}
            for content, pairs in zip(*options, strict=True)
            for gain in (1.0, 3.0, 10.0)
            for weight in (2.0, 1.0, 4.0)
        ]

    def scores_with(self, histories: Histories, settings: Settings) -> SparseScores:
        """Items without any count score 0."""
        of_content, of_pairs = (_unprefixed(prefix, settings) for prefix in ("content", "cooccurrence"))

        def merge() -> tuple[Layout, np.ndarray, np.ndarray, np.ndarray]:
            """Layout of both, scores of content, places of co-occurrence scores in the layout, these scores."""
            content = self.parts[0].scores_with(histories, of_content)
            pairs = self.parts[1].scores_with(histories, of_pairs)
            # One walk over both: complex numbers keep the two apart.
            both = content.as_matrix(np.complex64(1)) + pairs.as_matrix(np.complex64(1j))
            places = np.flatnonzero(both.data.imag)
            return Layout(both), np.ascontiguousarray(both.data.real), places, both.data.imag[places]

        key = (self.name, *of_content.items(), *of_pairs.items())
        layout, content, places, pairs = histories.remember(key, merge)
        values = content.copy()
        scaled = np.log1p(np.float32(settings["gain"]) * pairs)
        values[places] += np.float32(settings["weight"]) * scaled
        return SparseScores(values, layout)


def _prefixed(prefix: str, settings: Settings) -> Settings:
    return {f"{prefix}_{name}": value for name, value in settings.items()}


def _unprefixed(prefix: str, settings: Settings) -> Settings:
    start = f"{prefix}_"
    return {name.removeprefix(start): value for name, value in settings.items() if name.startswith(start)}
