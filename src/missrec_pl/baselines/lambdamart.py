"""Boosted trees over simple statistics: what a user gets in two minutes without a network."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from missrec_pl.baselines.base import BaselineData, LeftOutError, TunableBaseline
from missrec_pl.baselines.content import ContentKNN
from missrec_pl.baselines.cooccurrence import CooccurrenceKNN
from missrec_pl.baselines.ease import EASE
from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.scores import DenseScores, SparseScores
from missrec_pl.errors import ConfigError
from missrec_pl.fitting.sequence_pairs import strongest
from missrec_pl.fitting.words import word_similarity

_NOMINEES = 120  # of each nominating statistic
_BLOCK = 512
_DECAYS = (0.6, 0.8)
_PAIRS = {"pair_decay": 0.8, "backward": 0.5}
_WHITENING = 0.5
_TREES: dict[str, Any] = {
    "n_estimators": 120,
    "num_leaves": 8,
    "learning_rate": 0.1,
    "min_child_samples": 20,
    "random_state": 0,
    "n_jobs": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class LambdaMART:
    """Ranks the best items of EASE, co-occurrence, content and words by gradient-boosted trees.

    Each of these statistics nominates its 120 best items outside of the history. The trees (LambdaMART, Burges
    2010, of LightGBM: 120 trees of 8 leaves) order the nominees by: EASE and co-occurrence of the decayed history
    (.6, .8), content similarity of the decayed history and its maximum over the history, the maximum of TF-IDF
    similarity of the texts, popularity, popularity of the last item, length of the history. They learn from the
    validation targets, as other baselines choose their constants there; statistics come from the training parts
    alone. Items of the history, and whatever nobody nominates, stand behind the nominees. What the domain lacks
    (features, texts, room for EASE) takes no part.
    """

    name = "lambdamart"
    is_sparse = True

    def __init__(self, ease: EASE, pairs: CooccurrenceKNN, content: ContentKNN) -> None:
        if importlib.util.find_spec("lightgbm") is None:
            raise ConfigError('baseline lambdamart needs lightgbm: pip install "missrec-pl[trees]"')
        self._parts: dict[str, TunableBaseline] = {"ease": ease, "pairs": pairs, "content": content}
        self._data: BaselineData | None = None
        self._words: sp.csr_array | None = None
        self._ranker: Any = None

    def fit(self, data: BaselineData) -> None:
        """Fit the statistics."""
        for name, part in list(self._parts.items()):
            try:
                part.fit(data)
            except LeftOutError:
                del self._parts[name]
        self._data = data
        self._words = None if data.is_large else word_similarity(data.texts())

    def learn(self, validation: HeldOut | None) -> None:
        """Grow the trees on validation users.

        Raises:
            LeftOutError: nobody to learn from, or nobody whose target is nominated.
        """
        import lightgbm

        assert self._data is not None, "fit comes first"
        features, labels, sizes = [], [], []
        for start in range(0, 0 if validation is None else len(validation), _BLOCK):
            assert validation is not None
            histories, columns = validation.block(start, start + _BLOCK, self._data.num_items)
            rows, items, values = self._nominees(histories)
            is_target = items == columns[rows]
            has_target = np.bincount(rows, weights=is_target, minlength=len(histories)) > 0
            kept = has_target[rows]
            features.append(values[kept])
            labels.append(is_target[kept])
            sizes.append(np.bincount(rows[kept], minlength=len(histories))[has_target])
        if not sizes or not sum(map(len, sizes)):
            raise LeftOutError("there are no validation targets to learn from")
        self._ranker = lightgbm.LGBMRanker(**_TREES)
        self._ranker.fit(np.concatenate(features), np.concatenate(labels), group=np.concatenate(sizes))

    def scores(self, histories: Histories) -> SparseScores:
        """The trees' values of the nominees, above 0; all other items are one tie at 0."""
        rows, items, values = self._nominees(histories)
        found = self._ranker.predict(values, num_threads=1) if len(rows) else np.zeros(0)
        found = (found - found.min(initial=0) + 1).astype(np.float32)
        return SparseScores.of(sp.csr_array((found, (rows, items)), shape=(len(histories), histories.num_items)))

    def _nominees(
        self, histories: Histories
    ) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"], Float[np.ndarray, "P S"]]:
        """Rows and item columns of the nominees, row by row, and their statistics."""
        statistics = list(self._statistics(histories))
        pool = sp.csr_array((len(histories), histories.num_items), dtype=np.float32)
        seen = histories.rivals(np.full(len(histories), -1))
        for matrix in statistics:
            outside = matrix - matrix.multiply(seen)
            nominated = strongest(outside.tocsr(), _NOMINEES)
            nominated.data[:] = 1
            pool = pool + nominated
        pool.sort_indices()
        rows, items = np.repeat(np.arange(len(histories)), np.diff(pool.indptr)), pool.indices.astype(np.int64)
        return rows, items, np.stack(list(self._columns(histories, statistics, rows, items)), axis=1)

    def _statistics(self, histories: Histories) -> Iterator[sp.csr_array]:
        """Sparse ``[B, N]`` scores that nominate."""
        if "ease" in self._parts:
            for settings in [one for one in self._parts["ease"].grid({}) if one["decay"] in _DECAYS][:2]:
                scores = self._parts["ease"].scores_with(histories, settings)
                assert isinstance(scores, DenseScores)
                yield _positive(scores, histories.num_items)
        if "pairs" in self._parts:
            for decay in _DECAYS:
                yield _matrix(self._parts["pairs"].scores_with(histories, {**_PAIRS, "decay": decay}))
        if isinstance(content := self._parts.get("content"), ContentKNN):
            yield _matrix(content.scores_with(histories, {"whitening": _WHITENING, "decay": _DECAYS[1]}))
            yield _largest(histories, content.similarity(_WHITENING))
        if self._words is not None:
            yield _largest(histories, self._words)

    def _columns(
        self, histories: Histories, statistics: Sequence[sp.csr_array], rows: np.ndarray, items: np.ndarray
    ) -> Iterator[np.ndarray]:
        """``[P]`` each statistic of the nominees."""
        assert self._data is not None, "fit comes first"
        counts = np.log1p(self._data.counts())
        for matrix in statistics:
            yield np.asarray(matrix[rows, items]).ravel()
        yield counts[items]
        yield counts[histories.items[histories.offsets[1:] - 1] - 1][rows]
        yield np.diff(histories.offsets)[rows].astype(np.float64)


def _matrix(scores: Any) -> sp.csr_array:
    assert isinstance(scores, SparseScores)
    return scores.as_matrix(np.float32(1))


def _positive(scores: DenseScores, num_items: int) -> sp.csr_array:
    """The positive ones of dense scores."""
    matrix = sp.csr_array(scores.values.clamp(min=0).numpy())
    if scores.columns is None:
        return matrix
    return sp.csr_array(
        (matrix.data, scores.columns[matrix.indices], matrix.indptr), shape=(matrix.shape[0], num_items)
    )


def _largest(histories: Histories, similarity: sp.csr_array) -> sp.csr_array:
    """``[B, N]`` the largest similarity of each item with one of the history's."""
    lengths = np.diff(histories.offsets)
    found = sp.csr_array((len(histories), histories.num_items), dtype=np.float32)
    for age in range(int(lengths.max(initial=0))):
        rows = np.flatnonzero(lengths > age)
        items = histories.items[histories.offsets[1:][rows] - 1 - age] - 1
        ones = np.ones(len(rows), np.float32)
        places = sp.csr_array((ones, (rows, items)), shape=(len(histories), histories.num_items))
        found = found.maximum(places @ similarity)
    return found
