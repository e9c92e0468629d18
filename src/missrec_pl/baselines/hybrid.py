"""Content and co-occurrence together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from missrec_pl.baselines.base import BaselineData, Settings
from missrec_pl.baselines.content import ContentKNN
from missrec_pl.baselines.cooccurrence import CooccurrenceKNN
from missrec_pl.baselines.histories import Histories
from missrec_pl.baselines.registry import Context, register
from missrec_pl.baselines.sparse_scores import Layout, SparseScores


class HybridKNN:
    """``score(i) = content(i) + weight log(1 + gain cooccurrence(i))``.

    The logarithm keeps frequent pairs from drowning the content, as in the log-scaled counts of text retrieval
    (Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, 1988).

    Constants: those chosen for the two parts, then ``weight`` and ``gain``.

    Args:
        content: Shared with the baseline of that name.
        cooccurrence: The same.
    """

    name = "hybrid_knn"
    is_sparse = True

    def __init__(self, content: ContentKNN, cooccurrence: CooccurrenceKNN) -> None:
        self.parts = (content, cooccurrence)

    def fit(self, data: BaselineData) -> None:
        """Fit the parts that are not yet."""
        for part in self.parts:
            part.fit(data)

    def grid(self, chosen: Mapping[str, Sequence[Settings]]) -> Sequence[Settings]:
        """Weight x gain for each choice of the parts' constants."""
        options = [chosen.get(part.name) or part.grid({})[:1] for part in self.parts]
        return [
            {**_prefixed("content", content), **_prefixed("cooccurrence", pairs), "weight": weight, "gain": gain}
            for content, pairs in zip(*options, strict=True)
            for gain in (1.0, 3.0, 10.0)
            for weight in (2.0, 1.0, 4.0)
        ]

    def scores(self, histories: Histories) -> SparseScores:
        """With the constants to fall back on."""
        return self.scores_with(histories, self.grid({})[0])

    def scores_with(self, histories: Histories, settings: Settings) -> SparseScores:
        """Items without any evidence score 0."""
        of_parts = [_unprefixed(prefix, settings) for prefix in ("content", "cooccurrence")]

        def merge() -> _Merged:
            content, pairs = self.parts
            return _Merged.of(
                content.scores_with(histories, of_parts[0]), pairs.scores_with(histories, of_parts[1])
            )

        merged = histories.remember((self.name, *(tuple(chosen.items()) for chosen in of_parts)), merge)
        values = merged.content.copy()
        scaled = np.log1p(np.float32(settings["gain"]) * merged.pairs)
        values[merged.places] += np.float32(settings["weight"]) * scaled
        return SparseScores(values, merged.layout)


@dataclass(frozen=True)
class _Merged:
    """The scores of the two parts in one layout.

    Attributes:
        layout: Places that either part has scores for.
        content: ``[E]`` content scores, 0 where there are none.
        places: ``[P]`` where there are co-occurrence scores, among E.
        pairs: ``[P]`` co-occurrence scores.
    """

    layout: Layout
    content: Float[np.ndarray, " E"]
    places: Int[np.ndarray, " P"]
    pairs: Float[np.ndarray, " P"]

    @classmethod
    def of(cls, content: SparseScores, pairs: SparseScores) -> "_Merged":
        # One walk over both: complex numbers keep the two apart.
        both = content.as_matrix(np.complex64(1)) + pairs.as_matrix(np.complex64(1j))
        places = np.flatnonzero(both.data.imag)
        return cls(Layout(both), np.ascontiguousarray(both.data.real), places, both.data.imag[places])


def _prefixed(prefix: str, settings: Settings) -> Settings:
    return {f"{prefix}_{name}": value for name, value in settings.items()}


def _unprefixed(prefix: str, settings: Settings) -> Settings:
    start = f"{prefix}_"
    return {name.removeprefix(start): value for name, value in settings.items() if name.startswith(start)}


@register("hybrid_knn")
def _hybrid_knn(data: BaselineData, context: Context) -> HybridKNN:
    content, cooccurrence = context.get("content_knn"), context.get("cooccurrence_knn")
    assert isinstance(content, ContentKNN)
    assert isinstance(cooccurrence, CooccurrenceKNN)
    return HybridKNN(content, cooccurrence)
