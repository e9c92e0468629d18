"""The network that the authors' released code trains, with its faults corrected or, for comparison, kept."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.nn.contract import DataShape, Histories, Items, Users
from missrec_pl.nn.missrec.base import SequenceModel, as_tokens
from missrec_pl.nn.missrec.items import ItemTokens, interest_users
from missrec_pl.nn.missrec.released_rules import AsReleased, Corrected
from missrec_pl.system.choices import chosen
from missrec_pl.system.shapes import are_symbolic

SequenceFusion = Literal["add", "contextual"]


class MISSRecReleased(SequenceModel):
    """The encoder reads interest tokens; the items query it; the last item's output is the user state.

    Corrected against the release: a missing modality takes no part (the release feeds the adapter's bias), the
    padding interest is no token, and padding is no candidate. ``compat`` keeps the release's faults: the same
    weights under the same names, used as :class:`AsReleased` says.

    Args:
        data: see :class:`SequenceModel`, as for ``num_heads`` and ``collaborative``.
        sequence_fusion: ``"add"`` sums the modalities of an item into one decoder token; ``"contextual"``
            keeps one token per modality and averages the last item's outputs.
        compat: True computes what the released code computes (reference mode); its objective belongs to it.
        **options: see :class:`SequenceModel`; encoder blocks read the interest tokens, decoder blocks the items.

    Raises:
        ConfigError: an unknown choice, or a collaborative modality in reference mode: the release has none.
    """

    decides = ("num_heads", "sequence_fusion")

    def __init__(
        self,
        data: DataShape,
        *,
        num_heads: int = 4,
        collaborative: int = 0,
        sequence_fusion: SequenceFusion = "add",
        compat: bool = False,
        **options: Any,
    ) -> None:
        if compat and collaborative:
            raise ConfigError(f"model.collaborative={collaborative}: the released network has none; set it to 0.")
        self.rules = AsReleased() if compat else Corrected()
        super().__init__(data, num_heads=num_heads, collaborative=collaborative, **options)
        self.sequence_fusion = chosen("model.sequence_fusion", sequence_fusion, get_args(SequenceFusion))

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`."""
        tokens, rows = as_tokens(items), history.rows
        interests, is_interest_padding = self.rules.distinct_interests(
            tokens.interest[rows].flatten(1),
            is_cut=not are_symbolic() and rows.shape[1] < self.max_history,
            training=self.training,
        )
        projected = self.projected_prototypes(tokens, interests, self.encoder.first_attention)
        memory = self.encoder(F.embedding(interests, self.interests.prototypes), is_interest_padding, projected)
        queries, is_query_padding = self._item_queries(rows, tokens)
        # Where the last item's tokens stand; the other items' outputs of the last block are nobody's.
        last = history.length[:, None] - 1
        if self.sequence_fusion == "contextual":
            last = last + torch.arange(0, queries.shape[1], rows.shape[1], device=rows.device)
        decoded = self.decoder(queries, is_query_padding, memory, is_interest_padding, last)
        state = self.rules.last_item(decoded, is_query_padding.gather(1, last))
        return interest_users(state, memory, is_interest_padding)

    def combine_scores(self, fused: Float[Tensor, "B C"], by_id: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """``(id + 2 * fused) / 3``."""
        return (by_id + 2 * fused) / 3

    def _score_shared(self, state: Float[Tensor, "R D"], candidates: ItemTokens) -> Float[Tensor, "R C"]:
        return self.rules.score(super()._score_shared, state, candidates, self.id_embedding)

    def item_tokens(self, history: Int[Tensor, "B L"], items: ItemTokens) -> Float[Tensor, "B G L D"]:
        """Tokens of the history without positions; ``G = 1`` for ``add``, ``G = M`` for ``contextual``."""
        if self.sequence_fusion == "add":
            return F.embedding(history, items.summed)[:, None]
        tokens: Tensor = F.embedding(history, items.tokens.flatten(1)).unflatten(-1, items.tokens.shape[1:])
        return tokens.transpose(1, 2)

    def _item_queries(
        self, history: Int[Tensor, "B L"], items: ItemTokens
    ) -> tuple[Float[Tensor, "B Q D"], Bool[Tensor, "B Q"]]:
        """Decoder queries; ``contextual`` lays the modalities one after the other, ``Q = M * L``."""
        tokens = self.item_tokens(history, items) + self.positions(history)
        is_padding = (items.ids[history] == 0)[:, None]
        if self.sequence_fusion == "contextual":
            is_padding = is_padding | items.is_missing[history].transpose(1, 2)
        if self.id_embedding is not None:
            tokens = tokens + self.id_embedding(items.ids[history])[:, None]
        return self.input_dropout(self.input_norm(tokens)).flatten(1, 2), is_padding.flatten(1)
