"""The sequence encoder that UniSRec and VQ-Rec have from RecBole."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from missrec_pl.nn.blocks.causal_blocks import later
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.transformer import BlockSizes, EncoderBlock, initialise, set_norm_eps


class CausalEncoder(nn.Module):
    """Item plus position, LayerNorm, dropout, then post-norm blocks with a causal mask.

    Args:
        sizes: sizes of each block.
        num_layers: number of blocks.
        max_history: longest history ``L``; position 0 is the oldest item.
    """

    def __init__(self, sizes: BlockSizes, num_layers: int, max_history: int) -> None:
        super().__init__()
        self.position_embedding = nn.Embedding(max_history, sizes.hidden_size)
        self.input_norm = nn.LayerNorm(sizes.hidden_size)
        self.dropout = Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(num_layers))
        self.apply(initialise)
        set_norm_eps(self)

    def forward(self, vectors: Float[Tensor, "B L D"], is_padding: Bool[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """A state for every place, of what stands there and before it."""
        width = vectors.shape[1]
        x: Tensor = self.dropout(self.input_norm(vectors + self.position_embedding.weight[:width]))
        is_hidden = later_or_padding(is_padding)
        for block in self.blocks:
            x = block(x, is_hidden)
        return x


def later_or_padding(is_padding: Bool[Tensor, "B L"]) -> Bool[Tensor, "B L L"]:
    """What a place (second axis) of a causal network does not see: later places, and padding."""
    return later(is_padding.shape[1], is_padding.device) | is_padding[:, None]
