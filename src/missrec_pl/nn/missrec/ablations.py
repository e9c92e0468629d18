"""Networks of the paper's ablations (table 5) and of its comparison with item IDs alone (figure 4)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.nn.blocks.unit_vectors import unit_vectors
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Users
from missrec_pl.nn.interests import distinct_interests
from missrec_pl.nn.missrec.base import as_tokens
from missrec_pl.nn.missrec.items import ItemTokens, interest_users, mean_of
from missrec_pl.nn.missrec.paper import MISSRec
from missrec_pl.nn.missrec.released import MISSRecReleased


class WithoutDecoder(MISSRec):
    """The paper's network with encoder blocks in the place of the interest-aware decoder.

    Args:
        data: see :class:`SequenceModel`.
        num_encoder_layers: blocks, the replaced decoder's included.
        **options: see :class:`MISSRec`.
    """

    def __init__(self, data: DataShape, *, num_encoder_layers: int = 2, **options: Any) -> None:
        super().__init__(data, num_encoder_layers=num_encoder_layers, **options)
        self.decoder.requires_grad_(False)  # not called, and DDP refuses trained weights without gradients


class ContextEncoder(WithoutDecoder):
    """Table 5 (3): a second context encoder block in place of the interest-aware decoder; no interests.

    The user state is the mean of the encoded item tokens.
    """

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`; there are no interests to keep apart."""
        encoded, is_padding = self.context(history.rows, history.length, as_tokens(items))
        state = mean_of(encoded, is_padding)
        return interest_users(state, state[:, None], torch.ones_like(is_padding[:, :1]))


class InterestEncoder(WithoutDecoder):
    """Table 5 (4): an encoder of two blocks reads the interest tokens alone; no context.

    The user state is the mean of the encoded interest tokens.

    Args:
        data: see :class:`SequenceModel`.
        **options: see :class:`WithoutDecoder`.
    """

    def __init__(self, data: DataShape, **options: Any) -> None:
        super().__init__(data, **options)
        self.position_embedding.requires_grad_(False)

    def encode_histories(self, history: Histories, items: Items) -> Users:
        """See :meth:`Recommender.encode_histories`."""
        interest = as_tokens(items).interest[history.rows].flatten(1)
        interests, is_padding = distinct_interests(interest)
        queries = F.embedding(interests, self.interests.prototypes)
        encoded = self.encoder(self.input_dropout(self.input_norm(queries)), is_padding)
        return interest_users(mean_of(encoded, is_padding), encoded, is_padding)


class IDOnly(MISSRecReleased):
    """Figure 4's counterpart: the released network on item IDs alone, without features and interests.

    Args:
        data: the features that it offers are not used.
        item_ids: has to be True.
        **options: see :class:`MISSRecReleased`.

    Raises:
        ConfigError: an inductive network without features would know nothing, and a collaborative modality is more
            than IDs.
    """

    def __init__(self, data: DataShape, *, item_ids: bool = True, **options: Any) -> None:
        if not item_ids:
            raise ConfigError("model=id_only knows item IDs and nothing else: use setting=transductive.")
        if options.get("collaborative"):
            raise ConfigError(
                f"model.collaborative={options['collaborative']}: model=id_only knows item IDs and nothing else; "
                "leave the flag out."
            )
        one = data.changed(feature_dims={"id": 1}, num_present={"id": data.num_items})
        super().__init__(one, item_ids=True, **options)
        self.reads = frozenset({"ids"})
        for part in (self.item_adapters, self.encoder):  # without content or interests they have nothing to read
            part.requires_grad_(False)

    def encode_items(self, inputs: ItemInputs) -> ItemTokens:
        """One token per item, that of no content and no interest."""
        assert self.id_embedding is not None, "a network of IDs has an ID table"
        ids = inputs.ids
        tokens = self.id_embedding.weight.new_zeros(len(ids), 1, self.position_embedding.embedding_dim)
        is_missing, none = (ids == 0)[:, None], torch.zeros_like(ids)[:, None]
        return ItemTokens(tokens, ids, {"is_missing": is_missing, "interest": none, "no_interest": is_missing})

    def _score_shared(self, state: Float[Tensor, "R D"], candidates: ItemTokens) -> Float[Tensor, "R C"]:
        assert self.id_embedding is not None, "a network of IDs has an ID table"
        return unit_vectors(state) @ candidates.directions(self.id_embedding.weight).T
