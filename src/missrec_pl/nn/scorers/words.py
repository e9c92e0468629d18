"""How alike the words of candidates and of the history's items are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.fitting.words import word_similarity
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems
from missrec_pl.nn.scorers.base import ScoredRows, Scorer

_KEPT = 100  # items whose words an item is compared with


class WordNeighbours(Fitted):
    """The items of its domain whose texts are most like an item's; no checkpoint carries them.

    Attributes:
        neighbours: ``[N + 1, K]`` items, 0 behind the last one.
        cosines: ``[N + 1, K]`` cosines of the TF-IDF of their texts and the item's, 0 there.
    """

    saved = False
    neighbours: Tensor
    cosines: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("neighbours", "cosines"):
            self.register_buffer(name, None, persistent=False)

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return self.neighbours is None

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Compare the texts of each domain; items without text have no neighbour."""
        catalogue = context.catalogue
        neighbours = np.zeros((catalogue.num_items + 1, _KEPT), np.int64)
        cosines = np.zeros(neighbours.shape, np.float32)
        for domain, offset in zip(catalogue.domains, catalogue.offsets[:-1].tolist(), strict=True):
            if (alike := word_similarity(domain.texts(), _KEPT)) is None:
                continue
            degree = np.diff(alike.indptr)
            row = np.repeat(np.arange(len(degree)), degree)
            place = offset + 1 + row, np.arange(len(row)) - alike.indptr[row]
            neighbours[place], cosines[place] = offset + 1 + alike.indices, alike.data
        self.neighbours, self.cosines = torch.from_numpy(neighbours), torch.from_numpy(cosines)
        return {}

    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: the words of new items are not known."""
        self.neighbours, self.cosines = new.padded(self.neighbours), new.padded(self.cosines)

    def check(self) -> None:
        """See :meth:`Fitted.check`."""
        if self.is_empty:
            return
        if self.neighbours.shape != self.cosines.shape:
            raise ValueError("cosines of items that are not there")
        if bool(((self.neighbours < 0) | (self.neighbours >= len(self.neighbours))).any()):
            raise ValueError("neighbours that are not there")


class Words(Scorer):
    """``weight max_j cos(j, i)`` over the history's items j, cosines of the TF-IDF of the texts.

    Encoders of sentences blur what a title says letter by letter: a brand, a model, a size. The largest cosine
    counts, for an item is bought beside one of the history's, not beside all of them. An item is compared with its
    100 nearest; others, and the history's own items, have 0. The weight is learned. No interaction enters.

    Args:
        data: see :class:`Scorer`.
        weight: initial weight of the term.
    """

    of_catalogue = True

    def __init__(self, data: DataShape, *, weight: float = 2.0) -> None:
        super().__init__(data)
        self.fitted["words"] = WordNeighbours()
        self.weight = nn.Parameter(torch.tensor(weight))

    def of_rows(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """See :meth:`Scorer.of_rows`.

        Raises:
            RuntimeError: the texts were not compared.
        """
        known = self.fitted["words"]
        assert isinstance(known, WordNeighbours)
        if known.is_empty:
            raise RuntimeError("the scorer of words has no neighbours: fit() them first")
        column, is_here = rows.find(known.neighbours[rows.history_ids].flatten(1))
        cosines = known.cosines[rows.history_ids].flatten(1) * is_here
        largest = cosines.new_zeros(len(cosines), rows.num_columns).scatter_reduce(1, column, cosines, "amax")
        return rows.unmet(self.weight * largest.to(self.weight.dtype))
