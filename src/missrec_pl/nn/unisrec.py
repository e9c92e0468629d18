"""UniSRec: universal sequence representations from text (Hou et al., KDD 2022), for any modalities."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from missrec_pl.nn.blocks.causal_encoder import CausalEncoder
from missrec_pl.nn.blocks.cosines import cosine_scores
from missrec_pl.nn.blocks.experts import ExpertAdapters
from missrec_pl.nn.blocks.modalities import NOTHING_TO_COMPARE
from missrec_pl.nn.blocks.transformer import BlockSizes, initialise
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users


class UniSRec(Recommender):
    """Mixtures of parametric whitenings make items of features, a causal Transformer users of items.

    A score is a cosine. With ``item_ids`` (transductive) every item has a learned ID embedding, too, which is
    added both in histories and as a candidate. Mended faults of the published code, of which ``reference`` repeats
    the first: a missing feature and the padding item are adapted as zeros; the padding item is a class of the
    softmax (``objective.padding_candidate``); a masked duplicate keeps a logit of 0
    (``objective.duplicate_logit``); item drop leaves out the item before (``objective.augmentation``); frozen
    layers keep their dropout in fine-tuning.

    Args:
        data: sizes of the data.
        item_ids: True gives every item a learned ID embedding (transductive setting).
        hidden_size: width ``D``.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_layers: Transformer blocks.
        dropout: dropout probability of the Transformer.
        num_experts: whitenings of each modality.
        adapter_dropout: dropout probability of features.
        reference: as published, where that is a fault; goes with ``objective=unisrec_reference``.
    """

    example = "prefix"
    item_bound = ("id_embedding.",)
    adapters = (
        "item_adapters.",
        "encoder.input_norm.",
        "id_embedding.",
    )  # all that the published code leaves free
    may_differ = ("item_adapters.",)
    decides = ("num_heads",)

    def __init__(
        self,
        data: DataShape,
        *,
        item_ids: bool = False,
        hidden_size: int = 300,
        num_heads: int = 2,
        inner_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.5,
        num_experts: int = 8,
        adapter_dropout: float = 0.2,
        reference: bool = False,
    ) -> None:
        super().__init__()
        self.reads = frozenset({"features", "ids"} if item_ids else {"features"})
        self.reference = reference
        self.item_adapters = ExpertAdapters(
            data.feature_dims, hidden_size, num_experts, adapter_dropout, missing_is_zero=reference
        )
        self.id_embedding: nn.Embedding | None = None
        if item_ids:
            self.id_embedding = nn.Embedding(data.num_items + 1, hidden_size, padding_idx=0)
            self.id_embedding.apply(initialise)
        sizes = BlockSizes(hidden_size, num_heads, inner_size, dropout)
        self.encoder = CausalEncoder(sizes, num_layers, data.max_history)

    def encode_items(self, inputs: ItemInputs) -> Items:
        """See :meth:`Recommender.encode_items`: ``[U, D]``, not normalised."""
        vectors = self.item_adapters(inputs.table.features, inputs.table.rows, len(inputs.ids))
        if self.id_embedding is not None:
            # In reference mode the padding item is a class and learns.
            padding = None if self.reference else 0
            vectors = vectors + F.embedding(inputs.ids, self.id_embedding.weight, padding_idx=padding)
        return Items(vectors, inputs.ids)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`: a state for every place, ``[B, L, D]``."""
        return Users(self.encoder(F.embedding(history.rows, items.vectors), history.is_padding))

    def score(self, users: Users, items: Items) -> Tensor:
        """Cosines; an item that nothing is known of is ranked last."""
        return cosine_scores(users.state, items.vectors, of_nothing=0.0 if self.reference else NOTHING_TO_COMPARE)

    def index_tables(self, items: Items) -> Mapping[str, Tensor]:
        """See :meth:`Recommender.index_tables`."""
        return {"items": F.normalize(items.vectors, dim=-1)}

    def index_query(self, state: Tensor) -> Tensor:
        """See :meth:`Recommender.index_query`."""
        return F.normalize(state, dim=-1)

    def compiled_parts(self) -> list[nn.Module]:
        """The Transformer blocks."""
        return list(self.encoder.blocks)
