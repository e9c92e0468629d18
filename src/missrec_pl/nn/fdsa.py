"""FDSA: one causal Transformer over the items and one over their features (Zhang et al., IJCAI 2019)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.causal_encoder import later_or_padding
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.side_features import SideFeatures
from missrec_pl.nn.blocks.transformer import BlockSizes, EncoderBlock, initialise, set_norm_eps
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.system.choices import chosen

Side = Literal["features", "attributes", "noise"]


class FDSA(Recommender):
    """Two causal encoders of one shape, joined at every place by a linear layer and the LayerNorm that they share.

    One reads ID embeddings, the other a vector of side information: its fields (modalities or attribute fields)
    weighted by a softmax of ``w2 . relu(W1 e + b1) + b2``. Candidates are ID embeddings alone. A field that an
    item lacks takes no part. Published faults, mended unless ``reference``: UniSRec's code trains on frozen noise
    in place of text, see :class:`SideFeatures`; in RecBole's an unknown single-valued attribute is a value like
    others, and an item without any value has a zero vector that takes part in the softmax.

    Args:
        data: sizes of the data.
        side: what the second encoder reads: ``features``, one adapter a modality; ``attributes``; or ``noise`` of
            N(0, .02^2), frozen, that stands for features.
        reference: True keeps the published faults; features are noise then.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks of each encoder.
        dropout: dropout probability everywhere.

    Raises:
        ConfigError: an unknown choice, or attributes of data that has none.
    """

    example = "shifted"
    item_bound = ("item_embedding.", "attribute_embeddings.", "item_adapters.noise.")
    adapters = ("item_embedding.", "item_adapters.", "attribute_embeddings.", "field_attention.")
    may_differ = ("item_embedding.", "item_adapters.", "attribute_embeddings.")
    decides = ("num_heads", "side", "reference")

    def __init__(
        self,
        data: DataShape,
        *,
        side: Side = "features",
        reference: bool = False,
        hidden_size: int = 64,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        is_noise = chosen("model.side", side, get_args(Side)) == "noise" or (side == "features" and reference)
        self.reads = frozenset({"ids"} if is_noise else {"ids", side})  # type: ignore[arg-type]
        self.reference = reference
        self.item_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=0)
        if side == "attributes":
            if not data.attributes:
                raise ConfigError(
                    "model.side=attributes: the data has none; prepare it with a column attributes of "
                    "items.parquet, or say model.side=features."
                )
            self.attribute_embeddings = nn.ModuleDict(
                {name: nn.Embedding(count + 1, hidden_size) for name, count in data.attributes.items()}
            )
        else:
            self.item_adapters = SideFeatures(data, hidden_size, noise=is_noise)
        self.field_attention = nn.Sequential(
            nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 1)
        )
        self.position_embedding = nn.Embedding(data.max_history, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.item_blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(num_layers))
        self.feature_blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(num_layers))
        self.join = nn.Linear(2 * hidden_size, hidden_size)
        self.apply(initialise)
        set_norm_eps(self)

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``, and under ``side`` the side information ``[U, D]``."""
        fields, is_missing = self.fields(inputs)
        side = (self.weights(fields, is_missing)[..., None] * fields).sum(1)
        return Items(self.item_embedding(inputs.ids), inputs.ids, {"side": side})

    def fields(self, inputs: ItemInputs) -> tuple[Tensor, Tensor]:
        """A vector for each field, ``[U, K, D]``, and which of them an item lacks, ``[U, K]``."""
        if not hasattr(self, "attribute_embeddings"):
            tokens, is_missing = self.item_adapters(inputs)
            return tokens, is_missing
        fields, missing = [], []
        for name, table in self.attribute_embeddings.items():
            assert isinstance(table, nn.Embedding)
            values = inputs.attributes(name)
            is_none = (values == 0).all(1)
            if self.reference:
                is_none = torch.zeros_like(is_none)
            if self.reference and values.shape[1] == 1:  # 0, unknown, has a row of its own
                fields.append(table(values[:, 0]))
            else:
                fields.append(F.embedding_bag(values, table.weight, mode="mean", padding_idx=0))
            missing.append(is_none)
        return torch.stack(fields, 1), torch.stack(missing, 1)

    def weights(self, fields: Tensor, is_missing: Tensor) -> Tensor:
        """``[U, K]`` how much each field counts; 0 where an item lacks it."""
        scores = self.field_attention(fields)[..., 0]
        weights: Tensor = scores.masked_fill(is_missing, torch.finfo(scores.dtype).min).softmax(1) * ~is_missing
        return weights

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        rows, width = history.rows, history.rows.shape[1]
        is_hidden, states = later_or_padding(history.is_padding), []
        for vectors, blocks in ((items.vectors, self.item_blocks), (items.extra["side"], self.feature_blocks)):
            x = self.dropout(self.norm(F.embedding(rows, vectors) + self.position_embedding.weight[:width]))
            for block in blocks:
                x = block(x, is_hidden)
            states.append(x)
        return Users(self.dropout(self.norm(self.join(torch.cat(states, -1)))))

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return [*self.item_blocks, *self.feature_blocks]
