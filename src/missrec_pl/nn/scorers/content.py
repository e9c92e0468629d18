"""How similar candidates are to the history's items, before any learning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.nn.scorers.rows import ScoredRows


class ContentTerm(nn.Module):
    """``sum_m weight_m sum_j decay_m^age(j) cos_m(j, i)`` over the history's items j and the modalities m.

    The cosines are of partly whitened features (`data.whitening.PrincipalAxes`); an item without the modality
    takes no part, and the history's own items have 0. Weights and decays are learned.

    Args:
        modalities: names of the modalities.
        decay: initial weight of each step back in the history.
        weight: initial weight of each modality.
    """

    def __init__(self, modalities: Iterable[str], decay: float = 0.8, weight: float = 1.0) -> None:
        super().__init__()
        self.modalities = list(modalities)
        self.weight = nn.Parameter(torch.full((len(self.modalities),), weight))
        self.decay_logit = nn.Parameter(torch.full((len(self.modalities),), decay).logit())
        for modality in self.modalities:
            for kind in ("vectors", "present"):  # of the data, made anew from it
                self.register_buffer(f"{kind}_{modality}", None, persistent=False)

    def attach(self, vectors: Mapping[str, Float[Tensor, "_ _"]]) -> None:
        """Take the vectors of the data in use, ``[N + 1, D]`` per modality; unit length, or 0 where missing."""
        for modality in self.modalities:
            setattr(self, f"vectors_{modality}", vectors[modality])
            setattr(self, f"present_{modality}", vectors[modality].any(1))

    def forward(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """The term of every distinct candidate.

        Raises:
            RuntimeError: no vectors are attached.
        """
        total = self.weight.new_zeros(len(rows.length), rows.num_columns)
        for m, modality in enumerate(self.modalities):
            vectors = getattr(self, f"vectors_{modality}")
            if vectors is None:
                raise RuntimeError("the content term has no vectors: attach() them first")
            columns, candidates = rows.memo.once(
                f"content of {modality}", partial(self._candidates, modality, rows)
            )
            decayed = self.weight[m] * rows.decayed(self.decay_logit[m].sigmoid())
            profile = nn.functional.embedding_bag(
                rows.history_ids, vectors, per_sample_weights=decayed.to(vectors.dtype), mode="sum"
            )
            cosines = (profile @ candidates.T).to(total.dtype)
            total = total + cosines if columns is None else total.index_add(1, columns, cosines)
        return rows.unmet(total)

    def _candidates(self, modality: str, rows: ScoredRows) -> tuple[Tensor | None, Tensor]:
        """Columns and vectors of the candidates that have the modality; None if all have."""
        vectors = rows.of_columns(getattr(self, f"vectors_{modality}"))
        is_present = rows.of_columns(getattr(self, f"present_{modality}"))
        columns = is_present.nonzero()[:, 0]
        return (None, vectors) if len(columns) == len(vectors) else (columns, vectors[columns])
