"""S3-Rec: pre-trained on its own items by four tasks, then a causal Transformer (Zhou et al., CIKM 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from missrec_pl.data.items.attributes import FIELD
from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.causal_encoder import later_or_padding
from missrec_pl.nn.blocks.cluster_attributes import ClusterAttributes
from missrec_pl.nn.blocks.dropout import Dropout
from missrec_pl.nn.blocks.side_features import SideFeatures
from missrec_pl.nn.blocks.task_heads import TaskHeads
from missrec_pl.nn.blocks.transformer import BlockSizes, EncoderBlock, initialise, set_norm_eps
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.system.choices import chosen

AttributesFrom = Literal["column", "clusters", "features"]


class S3Rec(Recommender):
    """Post-norm Transformer blocks: causal, and in pre-training bidirectional with hidden items.

    Both phases count positions from the oldest item. In RecBole's code pre-training pads on the left and
    fine-tuning on the right, so that a position means something else in either (``reference``).

    Args:
        data: sizes of the data.
        phase: ``pretrain`` makes the heads and hides items; anything else the network that is fine-tuned.
        attributes_from: where attributes come from: the ``column`` of the data; ``clusters`` of the features;
            ``features``: each item is its own value, whose vector is ``relu(W f + b)`` (UniSRec's variant). None:
            the column if there is one, else clusters. Pre-training alone reads them.
        num_clusters: of ``clusters``.
        reference: True pre-trains with positions counted from the newest item backwards, and on noise in place of
            features, see :class:`SideFeatures`.
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability everywhere.

    Raises:
        ConfigError: an unknown choice, or a column that the data lacks.
    """

    item_bound = ("item_embedding.", "heads.attribute_embedding.", "item_adapters.noise.", "fitted.attributes.")
    may_differ = ("item_embedding.", "heads.", "item_adapters.", "fitted.attributes.")
    decides = ("num_heads", "reference")

    def __init__(
        self,
        data: DataShape,
        *,
        phase: str = "finetune",
        attributes_from: AttributesFrom | None = None,
        num_clusters: int = 64,
        reference: bool = False,
        hidden_size: int = 64,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.reference = reference
        self.heads: TaskHeads | None = None
        self.example = "shifted"
        self.item_embedding = nn.Embedding(data.num_items + 2, hidden_size, padding_idx=0)  # the last hides items
        if phase == "pretrain":
            self.example = "cloze"
            self._for_pretraining(data, attributes_from, num_clusters, hidden_size)
        self.position_embedding = nn.Embedding(data.max_history + 1, hidden_size)  # hidden items are places, too
        self.norm = nn.LayerNorm(hidden_size)
        self.dropout = Dropout(dropout)
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(num_layers))
        self.apply(initialise)
        set_norm_eps(self)

    def _for_pretraining(self, data: DataShape, source: AttributesFrom | None, count: int, width: int) -> None:
        known = data.attributes.get(FIELD, 0)
        source = source or ("column" if known else "clusters")
        chosen("model.attributes_from", source, get_args(AttributesFrom))
        if source == "column" and not known:
            raise ConfigError(
                "model.attributes_from=column: the data has no attributes; prepare it with a column attributes of "
                "items.parquet, or say model.attributes_from=clusters."
            )
        if source == "features":
            self.item_adapters = SideFeatures(data, width, noise=self.reference)
        elif source == "clusters":
            self.fitted["attributes"] = clusters = ClusterAttributes(data, count)
            known = clusters.num_clusters
        self.heads = TaskHeads(width, 0 if source == "features" else known)
        is_noise = source == "features" and self.reference
        read = {"column": "attributes", "clusters": "features", "features": "features"}[source]
        self.reads = frozenset({"ids"} if is_noise else {"ids", read})  # type: ignore[arg-type]

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``."""
        return Items(self.item_embedding(inputs.ids), inputs.ids)

    def attributes(self, inputs: ItemInputs) -> tuple[Tensor, Tensor]:
        """Each item's values ``[U, V]``, 0 = none, and the vectors of values 1..A, ``[A, D]``; in pre-training."""
        assert self.heads is not None, "asked for in pre-training alone"
        if hasattr(self, "item_adapters"):
            tokens, is_missing = self.item_adapters(inputs)
            count = (~is_missing).sum(1)
            has_some = count > 0
            vectors = tokens[has_some].sum(1) / count[has_some][:, None]
            return (has_some.cumsum(0) * has_some)[:, None], vectors
        vectors = self.heads.attribute_embedding.weight
        if "attributes" in self.fitted:
            clusters = self.fitted["attributes"]
            assert isinstance(clusters, ClusterAttributes)
            return clusters.values[inputs.ids], vectors
        return inputs.attributes(FIELD), vectors

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        rows, width = history.rows, history.rows.shape[1]
        vectors = F.embedding(rows, items.vectors)
        if history.is_masked is not None:
            hidden = self.item_embedding.weight[-1].to(vectors.dtype)
            vectors = torch.where(history.is_masked[..., None], hidden, vectors)
        position = torch.arange(width, device=rows.device).expand(rows.shape)
        is_hidden = later_or_padding(history.is_padding) if self.heads is None else history.is_padding
        if self.heads is not None and self.reference:
            last = len(self.position_embedding.weight) - 1
            position = (position + last + 1 - history.length[:, None]).clamp(max=last)
        x = self.dropout(self.norm(vectors + self.position_embedding(position)))
        for block in self.blocks:
            x = block(x, is_hidden)
        return Users(x)

    def score(self, users: Users, items: Items) -> Tensor:
        """Inner products; in pre-training of what stands for the hidden item, as its task scores."""
        return super().score(users if self.heads is None else Users(self.heads.mip(users.state)), items)

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """See :meth:`Recommender.index_tables`."""
        return {"items": items.vectors} if self.heads is None else {}

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.blocks)
