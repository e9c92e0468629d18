"""SASRec: a causal Transformer over the history's items (Kang and McAuley, ICDM 2018), as RecBole builds it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from missrec_pl.nn.blocks.adapters import ModalityAdapters
from missrec_pl.nn.blocks.attention import EncoderBlock
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.initialisation import initialise
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.system.choices import chosen

ItemsFrom = Literal["ids", "features"]


class SASRec(Recommender):
    """Post-norm Transformer blocks with a causal mask; a score is the inner product with the item's embedding.

    Args:
        data: sizes of the data.
        items_from: what an item's embedding is made of: a learned row for each ``ids``, or one linear adapter for
            each modality of its ``features``, summed.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability everywhere.

    Raises:
        ConfigError: an unknown choice.
    """

    example = "shifted"
    item_bound = ("item_embedding.",)
    adapters = ("item_embedding.", "item_adapters.")
    may_differ = ("item_embedding.", "item_adapters.")
    decides = ("num_heads", "items_from")

    def __init__(
        self,
        data: DataShape,
        *,
        items_from: ItemsFrom = "ids",
        hidden_size: int = 64,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.reads = frozenset({chosen("model.items_from", items_from, get_args(ItemsFrom))})
        if items_from == "ids":
            self.item_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=0)
        else:
            self.item_adapters = ModalityAdapters(data.feature_dims, hidden_size)
        self.position_embedding = nn.Embedding(data.max_history, hidden_size)
        self.input_norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        self.blocks = nn.ModuleList(
            EncoderBlock(hidden_size, num_heads, inner_size, dropout) for _ in range(num_layers)
        )
        self.apply(initialise)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``."""
        if "ids" in self.reads:
            return Items(self.item_embedding(inputs.ids), inputs.ids)
        names = self.item_adapters.modalities
        features = {name: inputs.present(name)[1] for name in names}
        tokens = self.item_adapters(features, {name: inputs.present(name)[0] for name in names}, len(inputs.ids))
        return Items(tokens.sum(1), inputs.ids)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        rows = history.rows
        embedded = nn.functional.embedding(rows, items.vectors) + self.position_embedding.weight[: rows.shape[1]]
        x = self.dropout(self.input_norm(embedded))
        hidden = causal_mask(history.is_padding)
        for block in self.blocks:
            x = block(x, hidden)
        return Users(x)

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.blocks)


def causal_mask(is_padding: Bool[Tensor, "B L"]) -> Bool[Tensor, "B L L"]:
    """True where a query may not look: at what comes after it, and at padding."""
    width = is_padding.shape[1]
    later = torch.ones(width, width, dtype=torch.bool, device=is_padding.device).triu(diagonal=1)
    return later | is_padding[:, None]
