"""Candidate fusion: how the modality scores of an item become one score (paper, 3.2.4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

# The cosine of a candidate that has no modality at all: the lowest there is, so that it is ranked last.
NO_EVIDENCE = -1.0


class DynamicFusion(nn.Module):
    """User-adaptive fusion of modality scores with a learnable concentration ``alpha`` (eqs. 1-2).

    ``alpha = 0`` is the mean of the present modalities, ``alpha -> inf`` their maximum. A missing modality has
    no weight.

    Args:
        fusion_concentration: initial ``alpha``; None for a static mean that learns nothing.
    """

    def __init__(self, fusion_concentration: float | None = 0.0) -> None:
        super().__init__()
        self.concentration = (
            None if fusion_concentration is None else nn.Parameter(torch.tensor(float(fusion_concentration)))
        )

    def forward(
        self, user: Float[Tensor, "B D"], tokens: Float[Tensor, "C M D"], is_missing: Bool[Tensor, "C M"]
    ) -> Float[Tensor, "B C"]:
        """Fused cosines of users and candidates (eq. 2); a modality is compared only where it exists.

        Args:
            user: normalised user states.
            tokens: item tokens of the candidates, not normalised.
            is_missing: which of them do not exist.
        """
        parts, places = [], []
        for columns, modalities in _groups(is_missing):
            chosen = tokens if len(columns) == len(tokens) else tokens.index_select(0, columns)
            cosines = [user @ F.normalize(chosen[:, m], dim=-1).T for m in modalities]
            parts.append(self.fuse(cosines) if cosines else user.new_full((len(user), len(columns)), NO_EVIDENCE))
            places.append(columns)
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, 1).index_select(1, torch.cat(places).argsort())

    def fuse(self, cosines: Sequence[Float[Tensor, "B C"]]) -> Float[Tensor, "B C"]:
        """Fuse the cosines of the modalities of candidates that have all of them."""
        if len(cosines) == 1:
            return cosines[0]
        if self.concentration is None:
            return torch.stack(list(cosines)).mean(0)
        if len(cosines) == 2:  # a softmax of two, in fewer passes
            first, second = cosines
            return torch.lerp(second, first, torch.sigmoid(self.concentration * (first - second)))
        scores = torch.stack(list(cosines))
        fused: Tensor = ((scores * self.concentration).softmax(0) * scores).sum(0)
        return fused


def _groups(is_missing: Bool[Tensor, "C M"]) -> Iterator[tuple[Int[Tensor, " P"], list[int]]]:
    """Candidates that have the same modalities: their columns, rising, and which modalities these are."""
    modalities = range(is_missing.shape[1])
    pattern = (is_missing.long() << torch.arange(len(modalities), device=is_missing.device)).sum(1)
    for code in pattern.unique().tolist():
        yield (pattern == code).nonzero()[:, 0], [m for m in modalities if not code >> m & 1]
