"""MISSRec as the paper describes it (3.4), with recency made visible."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.nn.contract import DataShape, Histories, Items, Users
from missrec_pl.nn.interests import distinct_interests
from missrec_pl.nn.missrec.base import SequenceModel, as_tokens
from missrec_pl.nn.missrec.items import ItemTokens, interest_users, mean_of
from missrec_pl.system.choices import chosen
from missrec_pl.system.shapes import are_fixed

PositionsFrom = Literal["end", "start"]


class MISSRec(SequenceModel):
    """The encoder reads the item tokens of all modalities; interest tokens query it; their mean is the user.

    The paper counts positions from the start of the history. Interest queries carry no position, so nothing
    then tells them which token is the newest; with ``positions_from="end"`` the newest item always has the
    same position embedding and the queries can find it.

    Args:
        data: see :class:`SequenceModel`.
        positions_from: ``"end"`` or, literally as in the paper, ``"start"``.
        **options: see :class:`SequenceModel`.

    Raises:
        ConfigError: an unknown choice.
    """

    decides = ("num_heads", "positions_from")

    def __init__(self, data: DataShape, *, positions_from: PositionsFrom = "end", **options: Any) -> None:
        super().__init__(data, **options)
        self.positions_from = chosen("model.positions_from", positions_from, get_args(PositionsFrom))

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`.

        Where a history has no interest the user state is the mean of the encoded item tokens.
        """
        tokens = as_tokens(items)
        memory, is_padding = self.context(history.rows, history.length, tokens)
        interests, is_query_padding = distinct_interests(tokens.interest[history.rows].flatten(1))
        projected = self.projected_prototypes(tokens, interests, self.decoder.first_attention)
        queries = F.embedding(interests, self.interests.prototypes)
        decoded = self.decoder(queries, is_query_padding, memory, is_padding, None, projected)
        state, has_none = mean_of(decoded, is_query_padding), is_query_padding.all(1)
        if self.id_embedding is not None and (are_fixed(state.device) or bool(has_none.any())):
            state = torch.where(has_none[:, None], mean_of(memory, is_padding), state)
        return interest_users(state, decoded, is_query_padding)

    def context(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemTokens
    ) -> tuple[Float[Tensor, "B S D"], Bool[Tensor, "B S"]]:
        """The encoded item tokens of histories, ``S = L * M``, and which of them are padding.

        With an ID table an item without any modality keeps one token: its ID and its position.
        """
        tokens = F.embedding(history, items.flat).unflatten(-1, items.tokens.shape[1:])
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
