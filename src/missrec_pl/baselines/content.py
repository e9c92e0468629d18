"""Content neighbours: of the last item, and of the whole history."""

from hashlib import blake2b

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int

from missrec_pl.baselines.base import BaselineData, Chosen, Grid, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.neighbours import spread, top_neighbours
from missrec_pl.baselines.scores import DenseScores, Scores, SparseScores, decayed_sums
from missrec_pl.fitting.whitening import AXES_IF_LARGE, PrincipalAxes

_NEIGHBOURS = 200
_NEIGHBOURS_IF_LARGE = 50
# Below every cosine, yet finite: an item without the modality still precedes a masked one.
_MISSING_SCORE = -2.0


class ContentKNN(TunableBaseline):
    """Similarity of an item's content to that of the history's items, the newest counting most.

    ``score(i) = sum_j decay^age(j) sum_m max(0, cos_m(j, i))`` over the history's items j and the modalities m
    that both i and j have, cosines of partly whitened features (`PrincipalAxes`). An item without a modality
    takes no part in it. No item is its own neighbour, and each keeps its 200 nearest of a modality (50 within
    128 axes, searched in cells, in a catalogue of more than 50,000 items).

    The item-based scheme of Sarwar et al., *Item-based collaborative filtering recommendation algorithms* (WWW
    2001), with similarities of content in place of ratings.

    Constants: ``whitening``, the power p; ``decay`` of each step back in the history.
    """

    name = "content_knn"
    is_sparse = True

    def __init__(self) -> None:
        self._axes: dict[str, PrincipalAxes] = {}
        self._similarity: dict[float, sp.csr_array] = {}
        self._is_large = False
        self._num_items = 0

    def fit(self, data: BaselineData) -> None:
        """Find the principal axes of each modality."""
        if self._num_items:
            return
        if not data.modalities:
            raise LeftOutError("the domain has no features")
        self._is_large, self._num_items = data.is_large, data.num_items
        max_axes = AXES_IF_LARGE if data.is_large else None
        for modality in data.modalities:
            self._axes[modality] = PrincipalAxes(
                data.features[modality], data.present[modality], max_axes=max_axes
            )

    def grid(self, chosen: Chosen) -> Grid:
        """Whitening x decay; whitening stays 1/2 in a large catalogue."""
        powers = (0.5,) if self._is_large else (0.5, 0.75)
        return [{"whitening": power, "decay": decay} for power in powers for decay in (0.8, 0.6, 0.9)]

    def scores_with(self, histories: Histories, settings: Settings) -> SparseScores:
        """Sums over the history; items that are nobody's neighbour score 0."""
        return decayed_sums(histories, self.name, settings, lambda: self.similarity(settings["whitening"]))

    def similarity(self, power: float) -> sp.csr_array:
        """Sparse ``[N, N]`` sums over the modalities; row = item of the history."""
        if power not in self._similarity:
            total = sp.csr_array((self._num_items, self._num_items), dtype=np.float32)
            for axes in self._axes.values():
                num_neighbours = _NEIGHBOURS_IF_LARGE if self._is_large else _NEIGHBOURS
                found = top_neighbours(axes.unit_vectors(power), num_neighbours)
                total = total + spread(found, axes.items, self._num_items)
            self._similarity[power] = total
        return self._similarity[power]


class LastItemKNN:
    """Cosine between each item's features and those of the history's most recent item that has the modality.

    Items without the modality score lowest, all alike. A history with no such item scores all others alike. In a
    catalogue of more than 50,000 items only the 50 nearest of each item count, found as `ContentKNN` finds them.
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
