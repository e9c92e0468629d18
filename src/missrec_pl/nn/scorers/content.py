"""How similar candidates are to the history's items, before any learning."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.fitting.whitening import whitened_with_axes
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems
from missrec_pl.nn.scorers.base import ScoredRows, Scorer
from missrec_pl.system.shapes import are_fixed


class WhitenedVectors(Fitted):
    """Half-whitened unit vectors of the items that have a modality; a checkpoint does not carry them.

    Args:
        modality: its name.
    """

    saved = False
    vectors: Tensor
    row_of: Tensor
    items: Tensor
    mean: Tensor | None
    axes: Tensor | None

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.modality = modality
        for name in ("vectors", "row_of", "items", "mean", "axes"):
            self.register_buffer(name, None, persistent=False)

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return self.vectors is None

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Keep ``vectors [P + 1, D]`` (row 0 zeros), ``row_of [N + 1]`` an item, and the ``items [P]`` of the
        rows; of a single domain its ``mean [F]`` and ``axes [F, D]``, too, for items that come later.
        """
        dense, spaces = whitened_with_axes(context.catalogue, self.modality)
        self.mean, self.axes = spaces[0] if len(context.catalogue.domains) == len(spaces) == 1 else (None, None)
        present = dense.any(1)
        self.items = present.nonzero()[:, 0]
        self.row_of = torch.where(present, present.cumsum(0), 0)
        self.vectors = torch.cat([dense.new_zeros(1, dense.shape[1]), dense[present]])
        return {}

    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: along the axes that were fitted.

        Raises:
            ConfigError: several domains have axes of their own.
        """
        if self.mean is None or self.axes is None:
            raise ConfigError("the content scorer has axes of several domains: train again with the new items.")
        given = new.features[self.modality]
        found = nn.functional.normalize((given - self.mean) @ self.axes, dim=1)
        present = given.any(1) & found.any(1)
        first = len(self.vectors)
        self.vectors = torch.cat(
            [self.vectors, nn.functional.pad(found[present], (0, self.vectors.shape[1] - found.shape[1]))]
        )
        places = torch.where(present, first - 1 + present.cumsum(0), 0)
        self.row_of = torch.cat([self.row_of, places])
        self.items = torch.cat([self.items, new.ids[present]])

    def check(self) -> None:
        """See :meth:`Fitted.check`."""
        if not self.is_empty:
            rows, items = len(self.vectors), len(self.row_of)
            if len(self.items) != rows - 1 or bool(((self.row_of < 0) | (self.row_of >= rows)).any()):
                raise ValueError(f"rows of {self.modality} that are not there")
            if bool(((self.items < 1) | (self.items >= items)).any()):
                raise ValueError(f"items of {self.modality} that are not there")


class Content(Scorer):
    """``sum_m weight_m sum_j decay_m^age(j) cos_m(j, i)`` over the history's items j and the modalities m.

    The cosines are of partly whitened features (:class:`missrec_pl.fitting.whitening.PrincipalAxes`); an item
    without the modality takes no part, and the history's own items have 0. Weights and decays are learned.

    Args:
        data: see :class:`Scorer`.
        decay: initial weight of each step back in the history.
        weight: initial weight of each modality.
    """

    of_catalogue = True
    by_modality = ("weight", "decay_logit")

    def __init__(self, data: DataShape, *, decay: float = 0.8, weight: float = 1.0) -> None:
        super().__init__(data)
        self.modalities = list(data.feature_dims)
        self.weight = nn.Parameter(torch.full((len(self.modalities),), weight))
        self.decay_logit = nn.Parameter(torch.full((len(self.modalities),), decay).logit())
        for modality in self.modalities:
            self.fitted[modality] = WhitenedVectors(modality)

    def of_rows(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """See :meth:`Scorer.of_rows`.

        Raises:
            RuntimeError: the vectors were not fitted.
        """
        total = self.weight.new_zeros(len(rows.length), rows.num_columns)
        for m, modality in enumerate(self.modalities):
            known, profile = self._known(modality), self._profile(m, rows)
            columns, candidates = _candidates(known, rows)
            cosines = (profile @ candidates.T).to(total.dtype)
            total = total + cosines if columns is None else total.index_add(1, columns, cosines)
        return rows.unmet(total)

    def index_tables(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        """See :meth:`Scorer.index_tables`: the vectors of each modality."""
        known = {modality: self._known(modality) for modality in self.modalities}
        return {modality: (one.items, one.vectors[1:]) for modality, one in known.items()}

    def index_queries(self, rows: ScoredRows) -> Mapping[str, Tensor]:
        """See :meth:`Scorer.index_queries`."""
        return {modality: self._profile(m, rows) for m, modality in enumerate(self.modalities)}

    def _known(self, modality: str) -> WhitenedVectors:
        known = self.fitted[modality]
        assert isinstance(known, WhitenedVectors)
        if known.is_empty:
            raise RuntimeError("the content scorer has no vectors: fit() them first")
        return known

    def _profile(self, m: int, rows: ScoredRows) -> Float[Tensor, "B F"]:
        """What the history's items add up to in one modality: the inner product with an item is its score."""
        known = self._known(self.modalities[m])
        decayed = self.weight[m] * rows.decayed(self.decay_logit[m].sigmoid())
        return nn.functional.embedding_bag(
            known.row_of[rows.history_ids],
            known.vectors,
            per_sample_weights=decayed.to(known.vectors.dtype),
            mode="sum",
        )


def _candidates(known: WhitenedVectors, rows: ScoredRows) -> tuple[Tensor | None, Tensor]:
    """Columns and vectors of the candidates that have the modality; None for all, of whom others have zeros."""
    if are_fixed(known.items.device):
        if rows.first is not None and len(known.items) == len(known.row_of) - 1:  # row i is item i's
            return None, known.vectors[rows.first : rows.first + rows.num_columns]
        return None, known.vectors[known.row_of[rows.columns]]
    if rows.first is not None:  # a stretch of the catalogue: its vectors lie side by side
        bounds = torch.tensor([rows.first, rows.first + rows.num_columns], device=known.items.device)
        here = slice(*torch.searchsorted(known.items, bounds).tolist())
        columns, vectors = known.items[here] - rows.first, known.vectors[1:][here]
    else:
        place = known.row_of[rows.columns]
        columns = place.nonzero()[:, 0]
        vectors = known.vectors[place[columns]]
    return (None, vectors) if len(columns) == rows.num_columns else (columns, vectors)
