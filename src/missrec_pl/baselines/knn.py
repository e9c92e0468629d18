"""Content neighbours of the last item."""

from hashlib import blake2b

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int

from missrec_pl.baselines.base import BaselineData
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.neighbours import spread, top_neighbours
from missrec_pl.baselines.registry import register_per_modality
from missrec_pl.baselines.scores import DenseScores, Scores
from missrec_pl.baselines.sparse_scores import SparseScores
from missrec_pl.fitting.whitening import AXES_IF_LARGE, PrincipalAxes

# Below every cosine, yet finite: an item without the modality still precedes a masked one.
_MISSING_SCORE = -2.0
_NEIGHBOURS_IF_LARGE = 50


@register_per_modality("knn")
class LastItemKNN:
    """Cosine between each item's features and those of the history's most recent item that has the modality.

    Items without the modality score lowest, all alike. A history with no such item scores all others alike. In a
    catalogue of more than 50,000 items only the 50 nearest of each item count, found as `ContentKNN` finds them.

    Args:
        modality: The key of `BaselineData.features` to read.
    """

    def __init__(self, modality: str) -> None:
        self.name = f"{modality}_knn"
        self.is_sparse = False
        self._modality = modality
        self._vectors = torch.empty(0, 0)  # [V, F] distinct unit vectors
        self._vector_of_item = torch.empty(0, dtype=torch.int64)  # [N + 1] row of _vectors
        self._is_missing = np.empty(0, dtype=bool)  # [N + 1]
        self._similarity = sp.csr_array((0, 0))  # [N, N] if the catalogue is large

    def fit(self, data: BaselineData) -> None:
        """Normalise the features once."""
        features, present = data.features[self._modality], data.present[self._modality]
        self._is_missing = ~present
        self._is_missing[0] = True
        self.is_sparse = data.is_large
        if self.is_sparse:
            axes = PrincipalAxes(features, present, max_axes=AXES_IF_LARGE, centred=False)
            found = spread(
                top_neighbours(axes.unit_vectors(0.0), _NEIGHBOURS_IF_LARGE), axes.items, data.num_items
            )
            itself = sp.diags_array(present[1:].astype(np.float32), format="csr")  # its own nearest neighbour here
            self._similarity = found + itself
            return
        # Identical features are scored once and copied: a matmul may differ in the last bit between equal
        # columns (it did, for batches below 8 rows), which would break exact ties by their position.
        representatives, inverse = _distinct_rows(features)
        vectors = torch.from_numpy(np.asarray(features[representatives], dtype=np.float32))
        self._vectors = F.normalize(vectors, dim=1)
        self._vector_of_item = torch.from_numpy(inverse)

    def scores(self, histories: Histories) -> Scores:
        """Scores ``[B, N]`` in [-1, 1], or -2 for items without the modality."""
        last = self._last_items(histories)
        if self.is_sparse:
            is_known = (last > 0).astype(np.float32)
            places = (is_known, np.maximum(last - 1, 0), np.arange(len(last) + 1))
            is_last = sp.csr_array(places, shape=(len(last), histories.num_items))
            return SparseScores.of(is_last @ self._similarity)
        queries = self._vectors[self._vector_of_item[torch.from_numpy(last)]]
        queries = queries * torch.from_numpy(last > 0).unsqueeze(1)
        values = queries @ self._vectors.T
        if len(self._vectors) <= histories.num_items:
            values = values[:, self._vector_of_item]
        values = values[:, 1:]
        if self._is_missing[1:].any():
            values[:, torch.from_numpy(self._is_missing[1:])] = _MISSING_SCORE
        return DenseScores(values)

    def _last_items(self, histories: Histories) -> Int[np.ndarray, " B"]:
        """The last item of each history that has the modality; 0 where there is none."""
        place = np.where(self._is_missing[histories.items], -1, np.arange(len(histories.items)))
        last = np.maximum.reduceat(place, histories.offsets[:-1])
        return np.where(last < 0, 0, histories.items[last]).astype(np.int64)


def _distinct_rows(features: Float[np.ndarray, "N F"]) -> tuple[Int[np.ndarray, " V"], Int[np.ndarray, " N"]]:
    """Find rows of equal bytes: the first row of each kind, and for every row the index of its kind."""
    kinds: dict[bytes, int] = {}
    inverse = np.empty(len(features), dtype=np.int64)
    representatives: list[int] = []
    for row, values in enumerate(features):
        kind = kinds.setdefault(blake2b(values.tobytes(), digest_size=16).digest(), len(kinds))
        if kind == len(representatives):
            representatives.append(row)
        inverse[row] = kind
    return np.array(representatives, dtype=np.int64), inverse
