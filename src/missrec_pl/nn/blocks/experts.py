"""Mixtures of parametric whitenings: from frozen features to item embeddings (Hou et al., UniSRec, KDD 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.transformer import INITIALIZER_RANGE

NOISE_FLOOR = 0.01  # smallest standard deviation of the gates' noise, as published


class Experts(nn.Module):
    """``sum_e g_e(x) W_e (x - b_e)``: whitenings with a learned shift and map, weighed by gates of the features.

    The gates are a softmax over all experts; in training noise of a learned size is added to their logits. Each
    expert drops features by a draw of its own, before the shift; gates see all of them.

    Args:
        feature_dim: width ``F`` of the features.
        hidden_size: width ``D`` of item embeddings.
        num_experts: number ``E`` of whitenings.
        dropout: probability of dropping a feature while training.
    """

    def __init__(self, feature_dim: int, hidden_size: int, num_experts: int, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(feature_dim, num_experts))
        self.noise = nn.Parameter(torch.zeros(feature_dim, num_experts))
        self.shift = nn.Parameter(torch.zeros(num_experts, feature_dim))
        self.weight = nn.Parameter(torch.randn(num_experts, hidden_size, feature_dim) * INITIALIZER_RANGE)
        self.dropout = Dropout(dropout)

    def gates(self, x: Float[Tensor, "P F"]) -> Float[Tensor, "P E"]:
        """How much each expert counts for each row; rows sum to 1."""
        spread = F.softplus(x @ self.noise) + NOISE_FLOOR
        # Zeros, not nothing, in eval mode: every weight has a gradient, if of 0.
        draw = torch.randn_like(spread) if self.training else torch.zeros_like(spread)
        return (x @ self.gate + draw * spread).softmax(-1)

    def forward(self, x: Float[Tensor, "P F"]) -> Float[Tensor, "P D"]:
        """Adapt feature rows."""
        gates = self.gates(x)
        parts = [
            gates[:, e, None] * F.linear(self.dropout(x) - shift, weight)
            for e, (shift, weight) in enumerate(zip(self.shift, self.weight, strict=True))
        ]
        return torch.stack(parts).sum(0)


class ExpertAdapters(nn.Module):
    """Experts for each modality, whose outputs are summed over the modalities that an item has.

    Args:
        feature_dims: feature width ``F`` of each modality.
        hidden_size: width ``D`` of item embeddings.
        num_experts: number ``E`` of whitenings of each modality.
        dropout: probability of dropping a feature while training.
        missing_is_zero: True adapts a zero vector where a modality is missing, and for the padding item, as the
            published code does.
    """

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        hidden_size: int,
        num_experts: int,
        dropout: float,
        *,
        missing_is_zero: bool = False,
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleDict(
            {name: Experts(dim, hidden_size, num_experts, dropout) for name, dim in feature_dims.items()}
        )
        self.missing_is_zero = missing_is_zero

    def forward(
        self,
        features: Mapping[str, Float[Tensor, "_P _F"]],
        rows: Mapping[str, Int[Tensor, " _P"]],
        num_rows: int,
    ) -> Float[Tensor, "U D"]:
        """Adapt the features that exist.

        Args:
            features: per modality the feature rows of the items that have it, any float dtype.
            rows: per modality the row of the item table that each feature row describes.
            num_rows: number ``U`` of rows of the item table.

        Returns:
            Item embeddings; zeros for an item that has no modality.
        """
        found = []
        dtype: torch.dtype = next(self.parameters()).dtype
        for name, experts in self.experts.items():
            x = features[name].to(dtype)
            adapted = experts(x)
            base = adapted.new_zeros(num_rows, adapted.shape[1])
            if self.missing_is_zero:
                base = base + experts(x.new_zeros(1, x.shape[1]))
            found.append(base.index_copy(0, rows[name], adapted))
        return torch.stack(found).sum(0)
