"""Modality-specific adapters: from frozen encoder features to item tokens (paper, 3.2.3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class ModalityAdapters(nn.Module):
    """One linear adapter per modality.

    Args:
        feature_dims: feature width ``F`` of each modality, in the order of the token axis ``M``.
        hidden_size: width ``D`` of item tokens.
        missing: ``"absent"`` leaves zeros for an item that lacks a modality; ``"bias"`` puts ``adapter(0)``
            there, as the released code does.
    """

    def __init__(self, feature_dims: Mapping[str, int], hidden_size: int, missing: str = "absent") -> None:
        super().__init__()
        self.linear = nn.ModuleDict({name: nn.Linear(dim, hidden_size) for name, dim in feature_dims.items()})
        self.missing = missing

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in the order of the token axis."""
        return list(self.linear)

    def forward(
        self,
        features: Mapping[str, Float[Tensor, "_P _F"]],
        rows: Mapping[str, Int[Tensor, " _P"]],
        num_rows: int,
    ) -> Float[Tensor, "U M D"]:
        """Adapt the features that exist and lay them out as tokens.

        Args:
            features: per modality the feature rows of the items that have it, any float dtype.
            rows: per modality the row of the item table that each feature row describes.
            num_rows: number ``U`` of rows of the item table.

        Returns:
            Item tokens; rows without features hold zeros, or the bias under ``missing="bias"``.
        """
        tokens = []
        tokens_dtype: torch.dtype = next(self.parameters()).dtype
        for name, linear in self.linear.items():
            adapted = linear(features[name].to(tokens_dtype))
            base = adapted.new_zeros(num_rows, adapted.shape[-1])
            if self.missing == "bias":
                base = base + linear.bias.to(base.dtype)  # under autocast
            tokens.append(base.index_copy(0, rows[name], adapted))
        return torch.stack(tokens, dim=1)
