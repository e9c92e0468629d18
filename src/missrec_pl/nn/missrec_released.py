"""The network that the authors' released code trains, with its faults mended."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.nn.attention import Decoder, Encoder
from missrec_pl.nn.base import SequenceModel, initialise
from missrec_pl.nn.embeddings import ItemEmbeddings, UserStates
from missrec_pl.nn.interests import interest_tokens


class MISSRecReleased(SequenceModel):
    """The encoder reads interest tokens; the items query it; the last item's output is the user state.

    Mended against the release: a missing modality takes no part (the release feeds the adapter's bias), the
    padding interest is no token, and padding is no candidate.

    Args:
        feature_dims: see :class:`SequenceModel`.
        num_items: see :class:`SequenceModel`.
        num_prototypes: see :class:`SequenceModel`.
        transductive: see :class:`SequenceModel`.
        hidden_size: see :class:`SequenceModel`.
        num_heads: attention heads.
        inner_size: width of the feed-forward layers.
        num_encoder_layers: blocks that read the interest tokens.
        num_decoder_layers: blocks that read the items.
        dropout: see :class:`SequenceModel`.
        max_history: see :class:`SequenceModel`.
        fusion_concentration: see :class:`SequenceModel`.
        history_bias: see :class:`SequenceModel`.
        sequence_fusion: ``"add"`` sums the modalities of an item into one decoder token; ``"contextual"``
            keeps one token per modality and averages the last item's outputs.
    """

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        num_items: int,
        num_prototypes: int,
        *,
        transductive: bool = False,
        hidden_size: int = 300,
        num_heads: int = 4,
        inner_size: int = 256,
        num_encoder_layers: int = 1,
        num_decoder_layers: int = 1,
        dropout: float = 0.5,
        max_history: int = 50,
        fusion_concentration: float | None = 0.0,
        history_bias: str = "learned",
        sequence_fusion: str = "add",
    ) -> None:
        super().__init__(
            feature_dims,
            num_items,
            num_prototypes,
            transductive=transductive,
            hidden_size=hidden_size,
            dropout=dropout,
            max_history=max_history,
            fusion_concentration=fusion_concentration,
            history_bias=history_bias,
        )
        self.sequence_fusion = sequence_fusion
        self.encoder = Encoder(num_encoder_layers, hidden_size, num_heads, inner_size, dropout)
        self.decoder = Decoder(num_decoder_layers, hidden_size, num_heads, inner_size, dropout)
        for part in (self.encoder, self.decoder, self.position_embedding, self.id_embedding):
            if part is not None:
                part.apply(initialise)

    def encode_users(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> UserStates:
        """See :meth:`SequenceModel.encode_users`."""
        interests, is_interest_padding = interest_tokens(
            items.interest[history].flatten(1), self.interests.prototypes
        )
        memory = self.encoder(interests, is_interest_padding)
        queries, is_query_padding = self._item_queries(history, items)
        decoded = self.decoder(queries, is_query_padding, memory, is_interest_padding)
        state = self._last_item(decoded, is_query_padding, length)
        return UserStates(state, memory, is_interest_padding)

    def combine_scores(self, fused: Float[Tensor, "B C"], by_id: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """``(id + 2 * fused) / 3``."""
        return (by_id + 2 * fused) / 3

    def _item_queries(
        self, history: Int[Tensor, "B L"], items: ItemEmbeddings
    ) -> tuple[Float[Tensor, "B Q D"], Bool[Tensor, "B Q"]]:
        """Decoder queries; ``contextual`` lays the modalities one after the other, ``Q = M * L``."""
        if self.sequence_fusion == "add":
            tokens = F.embedding(history, items.tokens.sum(1))[:, None]
            is_padding = (history == 0)[:, None]
        else:
            tokens = F.embedding(history, items.tokens.flatten(1)).unflatten(-1, items.tokens.shape[1:])
            tokens = tokens.transpose(1, 2)
            is_padding = items.is_missing[history].transpose(1, 2)
        tokens = tokens + self.positions(history)
        if self.id_embedding is not None:
            tokens = tokens + self.id_embedding(items.ids[history])[:, None]
        return self.input_dropout(self.input_norm(tokens)).flatten(1, 2), is_padding.flatten(1)

    def _last_item(
        self, decoded: Float[Tensor, "B Q D"], is_padding: Bool[Tensor, "B Q"], length: Int[Tensor, " B"]
    ) -> Float[Tensor, "B D"]:
        """Mean output of the last item's present tokens."""
        groups = 1 if self.sequence_fusion == "add" else len(self.adapters.modalities)
        row = torch.arange(len(length), device=length.device)
        last = decoded.unflatten(1, (groups, -1))[row, :, length - 1]
        weight = (~is_padding).unflatten(1, (groups, -1))[row, :, length - 1].to(last.dtype)[..., None]
        state: Tensor = (last * weight).sum(1) / weight.sum(1).clamp_min(1)
        return state
