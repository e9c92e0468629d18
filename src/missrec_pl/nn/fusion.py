"""Candidate fusion: how the modality scores of an item become one score (paper, 3.2.4)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
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

    def forward(self, scores: Float[Tensor, "M B C"], is_missing: Bool[Tensor, "C M"]) -> Float[Tensor, "B C"]:
        """Fuse the cosines of each modality into one score per user and candidate (eq. 2)."""
        if len(scores) == 1:
            return scores[0].masked_fill(is_missing[:, 0], NO_EVIDENCE)
        logits = torch.zeros_like(scores) if self.concentration is None else scores * self.concentration
        logits = logits.masked_fill(is_missing.T[:, None, :], torch.finfo(logits.dtype).min)
        fused = (logits.softmax(0) * scores).sum(0)
        return fused.masked_fill(is_missing.all(-1), NO_EVIDENCE)
