"""Content neighbours of the last item."""

from hashlib import blake2b

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.baselines.base import BaselineData
from missrec_pl.baselines.registry import register_per_modality

# Below every cosine, yet finite: an item without the modality still precedes a masked one.
_MISSING_SCORE = -2.0


@register_per_modality("knn")
class LastItemKNN:
    """Cosine between each item's features and those of the history's most recent item that has the modality.

    Items without the modality score lowest, all alike. A history with no such item scores all others alike.

    Args:
        modality: The key of `BaselineData.features` to read.
    """

    def __init__(self, modality: str) -> None:
        self.name = f"{modality}_knn"
        self._modality = modality
        self._vectors = torch.empty(0, 0)  # [V, F] distinct unit vectors
        self._vector_of_item = torch.empty(0, dtype=torch.int64)  # [N + 1] row of _vectors
        self._is_missing = torch.empty(0, dtype=torch.bool)  # [N + 1]

    def fit(self, data: BaselineData) -> None:
        """Normalise the features once."""
        features = data.features[self._modality]
        # Identical features are scored once and copied: a matmul may differ in the last bit between equal
        # columns (it did, for batches below 8 rows), which would break exact ties by their position.
        representatives, inverse = _distinct_rows(features)
        vectors = torch.from_numpy(np.asarray(features[representatives], dtype=np.float32))
        self._vectors = F.normalize(vectors, dim=1)
        self._vector_of_item = torch.from_numpy(inverse)
        self._is_missing = torch.from_numpy(~data.present[self._modality])
        self._is_missing[0] = True

    def scores(self, histories: Int[Tensor, "B L"]) -> Float[Tensor, "B N"]:
        """Score ``[B, N]`` in [-1, 1], or -2 for items without the modality."""
        is_usable = ~self._is_missing[histories]  # [B, L]; padding counts as missing
        positions = torch.arange(1, histories.shape[1] + 1)
        last, column = (is_usable * positions).max(dim=1)
        queries = self._vectors[self._vector_of_item[histories.gather(1, column.unsqueeze(1)).squeeze(1)]]
        queries = queries * (last > 0).unsqueeze(1)
        scores = (queries @ self._vectors.T)[:, self._vector_of_item[1:]]
        scores[:, self._is_missing[1:]] = _MISSING_SCORE
        return scores


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
