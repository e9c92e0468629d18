"""Post-norm Transformer blocks, and fresh weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.nn.blocks.attention import MultiHeadAttention, Projected
from missrec_pl.nn.blocks.dropout import Dropout

INITIALIZER_RANGE = 0.02  # standard deviation, as in the released code and in RecBole


@dataclass(frozen=True)
class BlockSizes:
    """Sizes of a Transformer block.

    Attributes:
        hidden_size: width ``D``, a multiple of ``num_heads``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layer.
        dropout: one probability for attention weights, hidden units and residual branches.
    """

    hidden_size: int
    num_heads: int
    inner_size: int
    dropout: float

    def attention(self) -> MultiHeadAttention:
        """A multi-head attention of these sizes."""
        return MultiHeadAttention(self.hidden_size, self.num_heads, self.dropout)


class FeedForward(nn.Module):
    """Position-wise feed-forward layer, by default with exact GELU."""

    def __init__(self, sizes: BlockSizes, activation: Callable[[Tensor], Tensor] = F.gelu) -> None:
        super().__init__()
        self.activation = activation
        self.expand = nn.Linear(sizes.hidden_size, sizes.inner_size)
        self.contract = nn.Linear(sizes.inner_size, sizes.hidden_size)
        self.dropout = Dropout(sizes.dropout)

    def forward(self, x: Float[Tensor, "B Q D"]) -> Float[Tensor, "B Q D"]:
        """Apply the layer to every vector."""
        flat = self.activation(self.expand(x.flatten(0, -2)))
        out: Tensor = self.contract(self.dropout(flat)).view_as(x)
        return out


class EncoderBlock(nn.Module):
    """Self-attention and feed-forward, each followed by a residual sum and LayerNorm."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.self_attention = sizes.attention()
        self.feed_forward = FeedForward(sizes)
        self.attention_norm = nn.LayerNorm(sizes.hidden_size)
        self.feed_forward_norm = nn.LayerNorm(sizes.hidden_size)
        self.dropout = Dropout(sizes.dropout)

    def forward(
        self,
        x: Float[Tensor, "B S D"],
        is_hidden: Bool[Tensor, "B S"] | Bool[Tensor, "B S S"],
        projected: Projected | None = None,
    ) -> Float[Tensor, "B S D"]:
        """Encode a set of vectors, given their projections if they are known.

        What is hidden, such as padding, is never attended to; see :meth:`MultiHeadAttention.attend`.
        """
        attended = _self_attention(self.self_attention, x, is_hidden, projected)
        x = self.attention_norm(x + self.dropout(attended))
        out: Tensor = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return out


class DecoderBlock(nn.Module):
    """Parallel decoder block: self-attention without a causal mask, cross-attention, feed-forward (3.4.2)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.self_attention, self.cross_attention = sizes.attention(), sizes.attention()
        self.feed_forward = FeedForward(sizes)
        self.self_attention_norm = nn.LayerNorm(sizes.hidden_size)
        self.cross_attention_norm = nn.LayerNorm(sizes.hidden_size)
        self.feed_forward_norm = nn.LayerNorm(sizes.hidden_size)
        self.dropout = Dropout(sizes.dropout)

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        is_padding: Bool[Tensor, "B Q"],
        memory: Float[Tensor, "B S D"],
        is_memory_padding: Bool[Tensor, "B S"],
        wanted: Int[Tensor, "B G"] | None = None,
        projected: Projected | None = None,
    ) -> Float[Tensor, "B _G D"]:
        """Decode queries ``x`` against ``memory``; only those at the ``wanted`` places if these are given."""
        if wanted is None:
            attended = _self_attention(self.self_attention, x, is_padding, projected)
        else:
            keys, x = x, x.gather(1, wanted[:, :, None].expand(-1, -1, x.shape[-1]))
            attended = self.self_attention(x, keys, is_padding)
        x = self.self_attention_norm(x + self.dropout(attended))
        attended = self.cross_attention(x, memory, is_memory_padding)
        x = self.cross_attention_norm(x + self.dropout(attended))
        out: Tensor = self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))
        return out


def _self_attention(
    attention: MultiHeadAttention, x: Tensor, is_padding: Tensor, projected: Projected | None
) -> Tensor:
    if projected is None:
        projected = Projected.of(attention, x)
    return attention.attend(projected.query, projected.key_value, is_padding)


class Stack(nn.Module):
    """Blocks in a row with a final LayerNorm.

    Args:
        num_layers: number of blocks, ``K_e`` or ``K_d``.
        sizes: sizes of each.
    """

    block: ClassVar[type[EncoderBlock | DecoderBlock]]

    def __init__(self, num_layers: int, sizes: BlockSizes) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(self.block(sizes) for _ in range(num_layers))
        self.norm = nn.LayerNorm(sizes.hidden_size)

    @property
    def first_attention(self) -> MultiHeadAttention:
        """The self-attention that reads the input."""
        attention = self.blocks[0].self_attention
        assert isinstance(attention, MultiHeadAttention)
        return attention


class Encoder(Stack):
    """Encoder blocks in a row; see :class:`EncoderBlock`."""

    block = EncoderBlock

    def forward(
        self, x: Float[Tensor, "B S D"], is_padding: Bool[Tensor, "B S"], projected: Projected | None = None
    ) -> Float[Tensor, "B S D"]:
        """Encode. ``projected`` is for the first block."""
        for block in self.blocks:
            x = block(x, is_padding, projected)
            projected = None
        out: Tensor = self.norm(x)
        return out


class Decoder(Stack):
    """Decoder blocks in a row; see :class:`DecoderBlock`."""

    block = DecoderBlock

    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        is_padding: Bool[Tensor, "B Q"],
        memory: Float[Tensor, "B S D"],
        is_memory_padding: Bool[Tensor, "B S"],
        wanted: Int[Tensor, "B G"] | None = None,
        projected: Projected | None = None,
    ) -> Float[Tensor, "B _G D"]:
        """Decode. ``wanted`` is for the last block, ``projected`` for the first."""
        for number, block in enumerate(self.blocks, 1):
            is_last = number == len(self.blocks)
            x = block(x, is_padding, memory, is_memory_padding, wanted if is_last else None, projected)
            projected = None
        out: Tensor = self.norm(x)
        return out


def initialise(module: nn.Module) -> None:
    """Normal weights and zero biases for linear layers and embeddings; to be applied to a network's parts."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=INITIALIZER_RANGE)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        with torch.no_grad():
            module.weight[module.padding_idx].zero_()


def set_norm_eps(network: nn.Module, eps: float = 1e-12) -> None:
    """Give all LayerNorms below a module the same ``eps``, by default that of RecBole's networks."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps
