"""Dropout that does not spend a quarter of a CPU training step on drawing its mask."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from missrec_pl.system.shapes import are_fixed

_DRAWS_PER_WORD = 4  # 16-bit draws in a 64-bit random word
_LEVELS = 2**16


class Dropout(nn.Module):
    """Like :class:`torch.nn.Dropout`; on CPU the probability is rounded to a multiple of 2^-16.

    torch draws CPU masks one element at a time (``benchmarks/dropout.py``). Elsewhere it takes one operation.

    Args:
        probability: probability of dropping an element while training.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
        """Drop elements and scale up the others, while training."""
        if not self.training or self.probability == 0:
            return x
        if are_fixed(x.device):
            dropped: Tensor = torch.native_dropout(x, self.probability, True)[0]
            return dropped
        scale = keep_mask(x.shape, self.probability).to(x.dtype).mul_(1 / (1 - self.probability))
        return x * scale


def keep_mask(shape: torch.Size, probability: float) -> Bool[Tensor, "*S"]:
    """A CPU mask of the given shape, False with the given probability."""
    words = torch.empty(-(-shape.numel() // _DRAWS_PER_WORD), dtype=torch.int64).random_(-(2**63), None)
    draws = words.view(torch.int16)[: shape.numel()].view(shape)
    return draws >= round(probability * _LEVELS) - _LEVELS // 2
