"""BERT4Rec: a Transformer that fills in hidden items (Sun et al., CIKM 2019), as RecBole builds it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.transformer import BlockSizes, EncoderBlock, initialise, set_norm_eps
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users


class BERT4Rec(Recommender):
    """Post-norm Transformer blocks that see both sides of a hidden place; ``<y, item> + bias`` is an item's score.

    ``y = LayerNorm(gelu(W x + b))``. The framework hides places of training sequences (``data.mask_probability``,
    ``data.last_share``) and puts a hidden place behind the history that it asks about. RecBole loses what it hides
    at position 0 and beyond a row's quota, drops the oldest item of every history at test, and makes the padding
    item a class of the softmax; nothing of that happens here.

    Args:
        data: sizes of the data.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability everywhere.
    """

    example = "cloze"
    item_bound = ("item_embedding.", "output_bias.")
    adapters = ("item_embedding.", "output_bias.")
    decides = ("num_heads",)

    def __init__(
        self,
        data: DataShape,
        *,
        hidden_size: int = 64,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.item_embedding = nn.Embedding(data.num_items + 1, hidden_size)
        self.mask_embedding = nn.Embedding(1, hidden_size)  # a hidden item's; no candidate
        self.position_embedding = nn.Embedding(
            data.max_history + 1, hidden_size
        )  # the last for the place asked about
        self.output_bias = nn.Embedding(data.num_items + 1, 1)
        self.input_norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(num_layers))
        self.output = nn.Linear(hidden_size, hidden_size)
        self.output_norm = nn.LayerNorm(hidden_size)
        self._initialise()

    def _initialise(self) -> None:
        self.apply(initialise)
        nn.init.zeros_(self.output_bias.weight)
        with torch.no_grad():
            self.item_embedding.weight[0].zero_()
        set_norm_eps(self)

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``, and each item's ``bias [U]``."""
        return Items(self.item_embedding(inputs.ids), inputs.ids, {"bias": self.output_bias(inputs.ids)[:, 0]})

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        embedded: Float[Tensor, "B L D"] = F.embedding(history.rows, items.vectors)
        if history.is_masked is not None:
            embedded = torch.where(history.is_masked[:, :, None], self.mask_embedding.weight, embedded)
        x = self.dropout(self.input_norm(embedded + self.position_embedding.weight[: history.rows.shape[1]]))
        for block in self.blocks:
            x = block(x, history.is_padding)
        return Users(self.output_norm(F.gelu(self.output(x))))

    def score(self, users: Users, items: Items) -> Tensor:
        """See :meth:`Recommender.score`: inner products and the candidates' biases."""
        return super().score(users, items) + items.extra["bias"]

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """See :meth:`Recommender.index_tables`."""
        return {"items": torch.cat([items.vectors, items.extra["bias"][:, None]], 1)}

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.blocks)
