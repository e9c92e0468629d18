"""MISSRec as the paper describes it (3.4), with recency made visible."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.nn.blocks.attention import Decoder, Encoder
from missrec_pl.nn.interests import distinct_interests
from missrec_pl.nn.missrec.base import SequenceModel, initialise
from missrec_pl.nn.missrec.embeddings import ItemEmbeddings, UserStates, mean_of


class MISSRec(SequenceModel):
    """The encoder reads the item tokens of all modalities; interest tokens query it; their mean is the user.

    The paper counts positions from the start of the history. Interest queries carry no position, so nothing
    then tells them which token is the newest; with ``positions_from="end"`` the newest item always has the
    same position embedding and the queries can find it.

    Args:
        feature_dims: see :class:`SequenceModel`.
        num_items: see :class:`SequenceModel`.
        num_prototypes: see :class:`SequenceModel`.
        transductive: see :class:`SequenceModel`.
        hidden_size: see :class:`SequenceModel`.
        num_heads: attention heads (4.2.4: 2).
        inner_size: width of the feed-forward layers.
        num_encoder_layers: ``K_e`` (4.2.4: 1).
        num_decoder_layers: ``K_d`` (4.2.4: 1).
        dropout: see :class:`SequenceModel`.
        max_history: see :class:`SequenceModel`.
        fusion_concentration: see :class:`SequenceModel`.
        history_bias: see :class:`SequenceModel`.
        cooccurrence: see :class:`SequenceModel`.
        content: see :class:`SequenceModel`.
        collaborative: see :class:`SequenceModel`.
        positions_from: ``"end"`` or, literally as in the paper, ``"start"``.
    """

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        num_items: int,
        num_prototypes: int,
        *,
        transductive: bool = False,
        hidden_size: int = 300,
        num_heads: int = 2,
        inner_size: int = 256,
        num_encoder_layers: int = 1,
        num_decoder_layers: int = 1,
        dropout: float = 0.5,
        max_history: int = 50,
        fusion_concentration: float | None = 0.0,
        history_bias: str = "learned",
        cooccurrence: str = "none",
        content: str = "none",
        collaborative: int = 0,
        positions_from: str = "end",
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
            cooccurrence=cooccurrence,
            content=content,
            collaborative=collaborative,
        )
        self.positions_from = positions_from
        self.encoder = Encoder(num_encoder_layers, hidden_size, num_heads, inner_size, dropout)
        self.decoder = Decoder(num_decoder_layers, hidden_size, num_heads, inner_size, dropout)
        for part in (self.encoder, self.decoder, self.position_embedding, self.id_embedding):
            if part is not None:
                part.apply(initialise)

    def encode_users(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> UserStates:
        """See :meth:`SequenceModel.encode_users`.

        Where a history has no interest the user state is the mean of the encoded item tokens.
        """
        memory, is_padding = self.encode_items(history, length, items)
        interests, is_query_padding = distinct_interests(items.interest[history].flatten(1))
        projected = self.projected_prototypes(items, interests, self.decoder.first_attention)
        queries = F.embedding(interests, self.interests.prototypes)
        decoded = self.decoder(queries, is_query_padding, memory, is_padding, None, projected)
        state, has_none = mean_of(decoded, is_query_padding), is_query_padding.all(1)
        if self.id_embedding is not None and bool(has_none.any()):
            state = torch.where(has_none[:, None], mean_of(memory, is_padding), state)
        return UserStates(state, decoded, is_query_padding)

    def encode_items(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
        """The encoded item tokens of histories, ``S = L * M``, and which of them are padding.

        With an ID table an item without any modality keeps one token: its ID and its position.
        """
        tokens = F.embedding(history, items.memo.once("flat tokens", lambda: items.tokens.flatten(1))).unflatten(
            -1, items.tokens.shape[1:]
        )
        tokens = tokens + self._positions(history, length)[:, :, None]
        is_padding = items.is_missing[history]
        if self.id_embedding is not None:
            ids = items.ids[history]
            tokens = tokens + self.id_embedding(ids)[:, :, None]
            is_bare = is_padding.all(-1) & (ids != 0)
            is_padding[:, :, 0] &= ~is_bare
        is_padding = is_padding.flatten(1)
        encoded = self.encoder(self.input_dropout(self.input_norm(tokens.flatten(1, 2))), is_padding)
        return encoded, is_padding

    def combine_scores(self, fused: Float[Tensor, "B C"], by_id: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """``<u, v> + <u, z>`` (eq. 10)."""
        return fused + by_id

    def _positions(self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"]) -> Float[Tensor, "#B L D"]:
        if self.positions_from == "start":
            return self.positions(history)[None]
        from_start = torch.arange(history.shape[1], device=history.device)
        embedded: Tensor = self.position_embedding((length[:, None] - 1 - from_start).clamp_min(0))
        return embedded
