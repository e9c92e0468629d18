"""The network that the authors' released code trains, with its faults mended or, for comparison, kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.attention import Decoder, Encoder
from missrec_pl.nn.missrec.base import SequenceModel
from missrec_pl.nn.missrec.embeddings import ItemEmbeddings, UserStates
from missrec_pl.nn.missrec.released_rules import AsReleased, Mended, Rules


class MISSRecReleased(SequenceModel):
    """The encoder reads interest tokens; the items query it; the last item's output is the user state.

    Mended against the release: a missing modality takes no part (the release feeds the adapter's bias), the
    padding interest is no token, and padding is no candidate. ``compat`` keeps the release's faults: the same
    weights under the same names, used as :class:`AsReleased` says.

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
        cooccurrence: see :class:`SequenceModel`.
        content: see :class:`SequenceModel`.
        collaborative: see :class:`SequenceModel`.
        sequence_fusion: ``"add"`` sums the modalities of an item into one decoder token; ``"contextual"``
            keeps one token per modality and averages the last item's outputs.
        compat: True computes what the released code computes; its objective belongs to it
            (``objective=missrec_released``).

    Raises:
        ConfigError: a score term or collaborative vectors under ``compat``; the release has none.
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
        cooccurrence: str = "none",
        content: str = "none",
        collaborative: int = 0,
        sequence_fusion: str = "add",
        compat: bool = False,
    ) -> None:
        terms = {"history_bias": history_bias, "cooccurrence": cooccurrence, "content": content}
        for name, value in {**terms, "collaborative": collaborative or "none"}.items():
            if compat and value != "none":
                raise ConfigError(f"model.{name}={value}: the released network has none; set it to none.")
        rules: Rules = AsReleased() if compat else Mended()
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
            missing=rules.missing,
        )
        self.rules = rules
        self.depends_on_padding = rules.depends_on_padding
        self.sequence_fusion = sequence_fusion
        self.encoder = Encoder(num_encoder_layers, hidden_size, num_heads, inner_size, dropout)
        self.decoder = Decoder(num_decoder_layers, hidden_size, num_heads, inner_size, dropout)
        for part in (self.encoder, self.decoder, self.position_embedding, self.id_embedding):
            if part is not None:
                part.apply(rules.initialise)
        for module in self.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = rules.norm_eps

    def without_interest(self, items: ItemEmbeddings) -> Bool[Tensor, "U M"]:
        """See :meth:`SequenceModel.without_interest`."""
        return self.rules.without_interest(items, super().without_interest(items))

    def encode_users(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> UserStates:
        """See :meth:`SequenceModel.encode_users`."""
        interests, is_interest_padding = self.rules.distinct_interests(
            items.interest[history].flatten(1),
            is_cut=history.shape[1] < self.max_history,
            training=self.training,
        )
        projected = self.projected_prototypes(items, interests, self.encoder.first_attention)
        memory = self.encoder(F.embedding(interests, self.interests.prototypes), is_interest_padding, projected)
        queries, is_query_padding = self._item_queries(history, items)
        # The other items' outputs of the last block are nobody's.
        last = self._places_of_last_item(history.shape[1], length)
        decoded = self.decoder(queries, is_query_padding, memory, is_interest_padding, last)
        state = self.rules.last_item(decoded, is_query_padding.take_along_dim(last, 1))
        return UserStates(state, memory, is_interest_padding)

    def combine_scores(self, fused: Float[Tensor, "B C"], by_id: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """``(id + 2 * fused) / 3``."""
        return (by_id + 2 * fused) / 3

    def score(self, state: Float[Tensor, "B D"], candidates: ItemEmbeddings) -> Float[Tensor, "B C"]:
        """See :meth:`SequenceModel.score`."""
        return self.rules.score(super().score, state, candidates, self.id_embedding)

    def item_tokens(self, history: Int[Tensor, "B L"], items: ItemEmbeddings) -> Float[Tensor, "B G L D"]:
        """Tokens of the history without positions; ``G = 1`` for ``add``, ``G = M`` for ``contextual``."""
        if self.sequence_fusion == "add":
            return F.embedding(history, items.memo.once("summed tokens", lambda: items.tokens.sum(1)))[:, None]
        tokens: Tensor = F.embedding(history, items.tokens.flatten(1)).unflatten(-1, items.tokens.shape[1:])
        return tokens.transpose(1, 2)

    def _item_queries(
        self, history: Int[Tensor, "B L"], items: ItemEmbeddings
    ) -> tuple[Float[Tensor, "B Q D"], Bool[Tensor, "B Q"]]:
        """Decoder queries; ``contextual`` lays the modalities one after the other, ``Q = M * L``."""
        tokens = self.item_tokens(history, items) + self.positions(history)
        is_padding = (items.ids[history] == 0)[:, None]
        if self.sequence_fusion == "contextual":
            is_padding = is_padding | items.is_missing[history].transpose(1, 2)
        if self.id_embedding is not None:
            tokens = tokens + self.id_embedding(items.ids[history])[:, None]
        return self.input_dropout(self.input_norm(tokens)).flatten(1, 2), is_padding.flatten(1)

    def _places_of_last_item(self, width: int, length: Int[Tensor, " B"]) -> Int[Tensor, "B G"]:
        """Where the last item's tokens stand among the decoder's queries."""
        groups = 1 if self.sequence_fusion == "add" else len(self.adapters.modalities)
        return length[:, None] - 1 + width * torch.arange(groups, device=length.device)
