"""HSTU: pointwise attention over items and the times between them (Zhai et al., ICML 2024), as in RecTools."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from missrec_pl.errors import DataError
from missrec_pl.nn.blocks.causal_blocks import of_unit_length, positions, right_padded, xavier
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.hstu_block import HSTUBlock, time_buckets
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users


class HSTU(Recommender):
    """HSTU blocks on items and positions from the newest; a score is the cosine with the item's embedding.

    The temperature is the loss's. Published code (RecTools) leaves it at 1 unless told, and in validation gives
    the oldest item of a history the time of the second one; neither is repeated here. Time buckets
    are numbered with the natural logarithm and log10(2), so that they are finer than powers of 2; that is kept.

    Args:
        data: sizes of the data; ``max_history`` is also what attention is divided by.
        hidden_size: width ``D``, a multiple of ``num_heads``.
        num_heads: attention heads.
        num_layers: blocks.
        dropout: dropout probability everywhere.
        scale: whether items of histories are multiplied with ``sqrt(D)``.
        cosine: whether a score is a cosine; else an inner product.
        relative_time: whether attention has a bias for time; False reads no timestamps.
        relative_positions: whether attention has a bias for places.
    """

    reads = frozenset({"ids", "timestamps"})
    example = "shifted"
    item_bound = ("item_embedding.",)
    adapters = ("item_embedding.",)
    may_differ = ("item_embedding.",)
    decides = ("num_heads", "scale", "cosine")

    def __init__(
        self,
        data: DataShape,
        *,
        hidden_size: int = 256,
        num_heads: int = 4,
        num_layers: int = 2,
        dropout: float = 0.2,
        scale: bool = True,
        cosine: bool = True,
        relative_time: bool = True,
        relative_positions: bool = True,
    ) -> None:
        super().__init__()
        self.reads = frozenset({"ids", "timestamps"}) if relative_time else frozenset({"ids"})
        self.max_history, self.cosine = data.max_history, cosine
        self.scale = hidden_size**0.5 if scale else 1.0
        self.item_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=0)
        self.position_embedding = nn.Embedding(data.max_history, hidden_size)
        self.dropout = Dropout(dropout)
        biases = {"relative_time": relative_time, "relative_positions": relative_positions}
        self.blocks = nn.ModuleList(
            HSTUBlock(hidden_size, num_heads, data.max_history, dropout, **biases) for _ in range(num_layers)
        )
        self.apply(xavier)

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``."""
        return Items(self.item_embedding(inputs.ids), inputs.ids)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``.

        Raises:
            DataError: the histories have no times.
        """
        laid, width = right_padded(history), history.rows.shape[1]
        place = positions(history.length, width, self.max_history, "end")
        vectors = F.embedding(history.rows, items.vectors) * self.scale
        x: Tensor = self.dropout(vectors + self.position_embedding(place))
        ago = torch.arange(width, device=x.device)
        distance = (ago[:, None] - ago).clamp(0, self.max_history - 1)
        bucket = None
        if "timestamps" in self.reads:
            if history.times is None:
                raise DataError(
                    "HSTU reads the times of histories, and these have none: say model.relative_time=false."
                )
            bucket = time_buckets(history.times)
        for block in self.blocks:
            x = block(x, laid.is_hidden, distance, bucket)
        return Users(x)

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
        """The blocks."""
        return list(self.blocks)
