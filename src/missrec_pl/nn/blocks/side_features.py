"""Features of items as side information: adapters with a relu, and the noise that one published code reads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from missrec_pl.nn.contract import DataShape, ItemInputs


class SideFeatures(nn.Module):
    """``relu(W f + b)`` of each modality, as UniSRec's FDSA and S3-Rec read text.

    Their constructors copy the text features into an embedding table and then draw all tables anew, this one too:
    they train on frozen noise in place of text.

    Args:
        data: sizes of the data.
        hidden_size: width ``D``.
        noise: True reads such noise instead of the features; then no item lacks a modality.
    """

    def __init__(self, data: DataShape, hidden_size: int, *, noise: bool = False) -> None:
        super().__init__()
        dims = data.feature_dims
        self.linear = nn.ModuleDict({name: nn.Linear(dim, hidden_size) for name, dim in dims.items()})
        self.noise = nn.ModuleDict()
        if noise:
            self.noise.update({name: nn.Embedding(data.num_items + 1, dim) for name, dim in dims.items()})
            self.noise.requires_grad_(False)

    def forward(self, inputs: ItemInputs) -> tuple[Tensor, Tensor]:
        """Tokens ``[U, M, D]``, and which of them are missing ``[U, M]``; rows of missing ones are zeros."""
        if len(self.noise):
            tokens = [linear(self.noise[name](inputs.ids)) for name, linear in self.linear.items()]
            return torch.stack(tokens, 1).relu(), torch.zeros_like(inputs.is_missing)
        tokens = []
        for name, linear in self.linear.items():
            rows, features = inputs.present(name)
            adapted = linear(features.to(next(linear.parameters()).dtype)).relu()
            tokens.append(adapted.new_zeros(len(inputs.ids), adapted.shape[1]).index_copy(0, rows, adapted))
        return torch.stack(tokens, 1), inputs.is_missing
