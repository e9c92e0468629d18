"""HSTU's block: attention without softmax, with biases for time and place (Zhai et al., ICML 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.dropout import Dropout

TIME_BUCKETS = 128  # the last one takes all that is longer
_LOG_WIDTH = 0.301  # of a bucket, in natural logarithms: log10(2), so that bounds grow by 35 %, not by 100 %


class HSTUBlock(nn.Module):
    """``x + W(u * LN(sum_m a_nm v_m))`` with ``a = silu(<q_n, k_m> + bias) / L``: no softmax, no scaling.

    Args:
        hidden_size: width ``D``.
        num_heads: attention heads, which share the biases.
        max_history: longest history ``L``.
        dropout: dropout probability before the output layer.
        relative_time: whether there is a bias for the time between an item and what follows the query.
        relative_positions: whether there is a bias for the number of places between.
    """

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        max_history: int,
        dropout: float,
        *,
        relative_time: bool,
        relative_positions: bool,
    ) -> None:
        super().__init__()
        self.num_heads, self.max_history = num_heads, max_history
        self.input_norm = nn.LayerNorm(hidden_size, 1e-6)
        self.projection = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.time_bias = nn.Parameter(0.02 * torch.randn(TIME_BUCKETS + 1)) if relative_time else None
        self.position_bias = nn.Parameter(0.02 * torch.randn(max_history)) if relative_positions else None
        self.attention_norm = nn.LayerNorm(hidden_size, 1e-6)
        self.dropout = Dropout(dropout)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(
        self,
        x: Float[Tensor, "B S D"],
        is_hidden: Bool[Tensor, "B S S"],
        distance: Int[Tensor, "S S"],
        bucket: Int[Tensor, "B S S"] | None,
    ) -> Float[Tensor, "B S D"]:
        """Encode; ``distance`` and ``bucket`` number the bias of each query and key."""
        gate, value, query, key = F.silu(self.projection(self.input_norm(x))).chunk(4, -1)
        heads = [one.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for one in (query, key, value)]
        products = heads[0] @ heads[1].transpose(-1, -2)
        if self.position_bias is not None:
            products = products + self.position_bias[distance]
        if self.time_bias is not None and bucket is not None:
            products = products + self.time_bias[bucket][:, None]
        weights = (F.silu(products) / self.max_history).masked_fill(is_hidden[:, None], 0.0)
        attended = (weights @ heads[2]).transpose(1, 2).flatten(-2)
        out: Tensor = x + self.output(self.dropout(gate * self.attention_norm(attended)))
        return out


def time_buckets(times: Int[Tensor, "B T"]) -> Int[Tensor, "B S S"]:
    """Number of the bucket of the time from each key to what follows each query, ``T = S + 1``.

    The time after the last item is that of the request (in training, of the next item).
    """
    seconds = (times[:, 1:, None] - times[:, None, :-1]).abs().clamp_min(1)
    return (seconds.float().log() / _LOG_WIDTH).floor().long().clamp(0, TIME_BUCKETS)
