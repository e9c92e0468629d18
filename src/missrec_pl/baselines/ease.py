"""EASE: the linear autoencoder in closed form."""

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int

from missrec_pl.baselines.base import BaselineData, Chosen, Grid, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.scores import DenseScores

# Each penalty costs an inverse, and its matrix is kept. Between 100 and 400 little changed on any domain measured.
_PENALTIES = (400.0, 100.0)
_ITEMS_OF_SEVERAL_PENALTIES = 4000
_ONE_PENALTY = 200.0


class EASE(TunableBaseline):
    """Weights between items by ridge regression of every item on all others.

    ``B = I - P / diag(P)`` with ``P = (X^T X + lambda I)^-1`` and the binary users x items matrix X of the
    training parts; ``score = h B`` for the decayed weights h of the history. Steck, *Embarrassingly shallow
    autoencoders for sparse data* (WWW 2019), eq. (8), there without decay. Items that nobody trained on score 0.

    Constants: ``lambda``, the penalty; ``decay`` of each step back in the history. Left out beyond ``max_items``
    items in the training parts: P is a dense inverse of that size.
    """

    name = "ease"

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._trained: Int[np.ndarray, " T"] = np.empty(0, dtype=np.int64)  # columns of the T items that train
        self._gram = sp.csr_array((0, 0))  # [T, T]
        self._data: BaselineData | None = None
        self._weights: dict[float, Float[np.ndarray, "T T"]] = {}

    def fit(self, data: BaselineData) -> None:
        """Count the users that each pair of items shares."""
        if self._data is data:
            return
        self._trained = np.flatnonzero(data.counts())
        size = len(self._trained)
        if size > self._max_items:
            raise LeftOutError(
                f"{size:,} items in the training parts are beyond baselines.max_ease_items={self._max_items:,}: "
                f"a dense inverse of {size:,} x {size:,}"
            )
        if size == 0:
            raise LeftOutError("the training parts are empty")
        column = np.full(data.num_items, -1, dtype=np.int32)
        column[self._trained] = np.arange(size)
        ones = np.ones(len(data.train_items), dtype=np.float32)
        places = (ones, column[data.train_items - 1], data.train_offsets.copy())  # summed up in place
        users = sp.csr_array(places, shape=(len(data.train_offsets) - 1, size))
        users.sum_duplicates()
        users.data[:] = 1
        self._gram = (users.T @ users).tocsr()
        self._data, self._weights = data, {}

    def grid(self, chosen: Chosen) -> Grid:
        """Penalty x decay; the decay alone beyond 4,000 items."""
        penalties = _PENALTIES if len(self._trained) <= _ITEMS_OF_SEVERAL_PENALTIES else (_ONE_PENALTY,)
        return [{"lambda": penalty, "decay": decay} for penalty in penalties for decay in (0.6, 0.8)]

    def scores_with(self, histories: Histories, settings: Settings) -> DenseScores:
        """Regress every item on the history."""
        weights = histories.decayed(settings["decay"])[:, self._trained]
        return DenseScores(torch.from_numpy(weights @ self._matrix(settings["lambda"])), self._trained)

    def _matrix(self, penalty: float) -> Float[np.ndarray, "T T"]:
        if penalty not in self._weights:
            self._weights[penalty] = _regression_weights(self._gram.toarray(), penalty)
        return self._weights[penalty]


def _regression_weights(gram: Float[np.ndarray, "T T"], penalty: float) -> Float[np.ndarray, "T T"]:
    """``I - P / diag(P)``, by the Cholesky inverse (a third of the work of a general one), in place."""
    work = torch.from_numpy(gram).mT  # the order that LAPACK works in: no copies
    work.diagonal().add_(penalty)
    torch.linalg.cholesky(work, out=work)
    torch.cholesky_inverse(work, out=work)
    weights = work.mT
    weights.div_(-weights.diagonal().clone()).fill_diagonal_(0)
    return weights.numpy()
