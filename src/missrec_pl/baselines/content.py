"""Content neighbours of the whole history."""

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp

from missrec_pl.baselines.base import BaselineData, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.neighbours import spread, top_neighbours
from missrec_pl.baselines.registry import Context, register
from missrec_pl.baselines.sparse_scores import SparseScores
from missrec_pl.fitting.whitening import AXES_IF_LARGE, PrincipalAxes

_NEIGHBOURS = 200
_NEIGHBOURS_IF_LARGE = 50


class ContentKNN:
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
    parts: Sequence[TunableBaseline] = ()

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

    def grid(self, chosen: Mapping[str, Sequence[Settings]]) -> Sequence[Settings]:
        """Whitening x decay; whitening stays 1/2 in a large catalogue."""
        powers = (0.5,) if self._is_large else (0.5, 0.75)
        return [{"whitening": power, "decay": decay} for power in powers for decay in (0.8, 0.6, 0.9)]

    def scores(self, histories: Histories) -> SparseScores:
        """With the constants to fall back on."""
        return self.scores_with(histories, self.grid({})[0])

    def scores_with(self, histories: Histories, settings: Settings) -> SparseScores:
        """Sums over the history; items that are nobody's neighbour score 0."""

        def compute() -> SparseScores:
            return SparseScores.of(histories.decayed(settings["decay"]) @ self.similarity(settings["whitening"]))

        return histories.remember((self.name, *settings.items()), compute)

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


@register("content_knn")
def _content_knn(data: BaselineData, context: Context) -> ContentKNN:
    return ContentKNN()
