"""SASRec: a causal Transformer over the history's items (Kang and McAuley, ICDM 2018), as RecBole builds it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import nn

from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.modalities import ModalityAdapters
from missrec_pl.nn.blocks.transformer import BlockSizes, EncoderBlock, initialise
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
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(num_layers))
        self.apply(initialise)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 1e-12

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``."""
        if "ids" in self.reads:
            return Items(self.item_embedding(inputs.ids), inputs.ids)
        tokens = self.item_adapters(inputs.table.features, inputs.table.rows, len(inputs.ids))
        return Items(tokens.sum(1), inputs.ids)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        rows = history.rows
        embedded = nn.functional.embedding(rows, items.vectors) + self.position_embedding.weight[: rows.shape[1]]
        x = self.dropout(self.input_norm(embedded))
        # No query looks at what comes after it, nor at padding.
        later = torch.ones(rows.shape[1], rows.shape[1], dtype=torch.bool, device=rows.device).triu(diagonal=1)
        is_hidden = later | history.is_padding[:, None]
        for block in self.blocks:
            x = block(x, is_hidden)
        return Users(x)

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.blocks)
