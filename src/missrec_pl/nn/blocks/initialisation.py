"""Fresh weights."""

from __future__ import annotations

import torch
from torch import nn

INITIALIZER_RANGE = 0.02  # standard deviation, as in the released code and in RecBole


def initialise(module: nn.Module) -> None:
    """Normal weights and zero biases for linear layers and embeddings; to be applied to a network's parts."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIALIZER_RANGE)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()
