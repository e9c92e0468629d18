"""SASRec: a causal Transformer over the history's items (Kang and McAuley, ICDM 2018), built in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.causal_blocks import (
    BLOCKS,
    LaidOut,
    left_padded,
    of_unit_length,
    positions,
    right_padded,
)
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.modalities import ModalityAdapters
from missrec_pl.nn.blocks.transformer import BlockSizes, set_norm_eps
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.system.choices import chosen

ItemsFrom = Literal["ids", "features"]
Table = Literal["shared", "separate"]


class SASRec(Recommender):
    """Transformer blocks with a causal mask; a score is the inner product with the item's embedding.

    Faults of the published programs that ``reference`` repeats: RecBole learns a row for the padding item, which
    its softmax has as a class (``objective.padding_candidate``); RecTools lets items attend to the padding on
    their left; gSASRec begins with embeddings ``N(0, 1)``, as torch makes them, instead of ``N(0, .02^2)``.
    RecTools and gSASRec count positions from the newest item, so that in training on shifted sequences an item's
    position depends on how many follow it.

    Args:
        data: sizes of the data.
        items_from: what an item's embedding is made of: a learned row for each ``ids``, or one linear adapter for
            each modality of its ``features``, summed.
        item_ids: whether a learned row is added to the features.
        block: whose blocks: post-norm with GELU (``recbole``); queries alone normalised, ReLU (``rectools``; the
            same without an output projection: ``gsasrec``); gated pre-norm (``ligr``).
        table: ``separate`` learns one row of an item for histories and one for scores.
        scale: whether items of histories are multiplied with ``sqrt(D)``, as in the SASRec paper's code.
        cosine: whether a score is the cosine instead; goes with a temperature.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability everywhere.
        reference: repeats the published faults of the chosen block.

    Raises:
        ConfigError: an unknown choice, or a separate table of features.
    """

    example = "shifted"
    item_bound = ("item_embedding.", "output_embedding.")
    adapters = ("item_embedding.", "output_embedding.", "item_adapters.")
    may_differ = ("item_embedding.", "item_adapters.")
    decides: tuple[str, ...] = ("num_heads", "items_from", "block", "scale", "cosine")

    def __init__(
        self,
        data: DataShape,
        *,
        items_from: ItemsFrom = "ids",
        item_ids: bool = False,
        block: str = "recbole",
        table: Table = "shared",
        scale: bool = False,
        cosine: bool = False,
        hidden_size: int = 64,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
        reference: bool = False,
    ) -> None:
        super().__init__()
        self.reads = frozenset({chosen("model.items_from", items_from, get_args(ItemsFrom))})
        if chosen("model.table", table, get_args(Table)) == "separate" and items_from == "features":
            raise ConfigError("model.table=separate: is for item IDs; say items_from=ids or table=shared.")
        self.kind = BLOCKS[chosen("model.block", block, tuple(BLOCKS))]
        self.max_history, self.cosine, self.reference = data.max_history, cosine, reference
        self.scale = hidden_size**0.5 if scale else 1.0
        padding = None if reference and self.kind.trains_padding else 0
        if items_from == "features":
            self.item_adapters = ModalityAdapters(data.feature_dims, hidden_size)
        if item_ids or items_from == "ids":
            self.reads |= {"ids"}
            self.item_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=padding)
        if table == "separate":
            self.output_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=padding)
        self.position_embedding = nn.Embedding(data.max_history, hidden_size)
        self.input_norm = nn.LayerNorm(hidden_size) if self.kind.has_input_norm else nn.Identity()
        self.dropout = Dropout(dropout)
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.blocks = nn.ModuleList(self.kind.block(sizes) for _ in range(num_layers))
        published = self.kind.reference_initialise
        self.apply(published if reference and published is not None else self.kind.initialise)
        set_norm_eps(self, self.kind.norm_eps)
        eps = self.kind.final_norm_eps
        self.final_norm = nn.Identity() if eps is None else nn.LayerNorm(hidden_size, eps)

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``; of two tables, the one of scores."""
        if hasattr(self, "output_embedding"):
            return Items(self.output_embedding(inputs.ids), inputs.ids)
        parts = [self.item_embedding(inputs.ids)] if "ids" in self.reads else []
        if "features" in self.reads:
            tokens = self.item_adapters(inputs.table.features, inputs.table.rows, len(inputs.ids))
            parts.append(tokens.sum(1))
        return Items(sum(parts[1:], start=parts[0]), inputs.ids)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        is_seen = self.reference and self.kind.sees_padding
        laid = left_padded(history, self.max_history) if is_seen else right_padded(history)
        table = self.item_embedding(items.ids) if hasattr(self, "output_embedding") else items.vectors
        vectors = F.embedding(laid.rows, table) * self.scale
        place = positions(laid.length, laid.rows.shape[1], self.max_history, self.kind.positions_from)
        x: Tensor = self.dropout(self.input_norm(vectors + self.position_embedding(place)))
        for block in self.blocks:
            x = block(self._kept(x, laid), laid.is_hidden)
        x = self.final_norm(self._kept(x, laid))
        return Users(x if laid.place is None else x.take_along_dim(laid.place[..., None], 1))

    def _kept(self, x: Tensor, laid: LaidOut) -> Tensor:
        """Zeros for padding where it is seen; elsewhere nothing depends on it."""
        return x.masked_fill(laid.is_padding[..., None], 0.0) if self.kind.zeroes_padding else x

    def score(self, users: Users, items: Items) -> Tensor:
        """See :meth:`Recommender.score`."""
        return super().score(*(of_unit_length(users, items) if self.cosine else (users, items)))

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """See :meth:`Recommender.index_tables`."""
        return {"items": F.normalize(items.vectors, dim=-1) if self.cosine else items.vectors}

    def index_query(self, state: Tensor) -> Tensor:
        """See :meth:`Recommender.index_query`."""
        return F.normalize(state, dim=-1) if self.cosine else state

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.blocks)
