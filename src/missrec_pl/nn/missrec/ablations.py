"""Networks of the paper's ablations (table 5) and of its comparison with item IDs alone (figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.nn.interests import distinct_interests
from missrec_pl.nn.missrec.embeddings import ItemEmbeddings, UserStates, mean_of
from missrec_pl.nn.missrec.paper import MISSRec
from missrec_pl.nn.missrec.released import MISSRecReleased


class ContextEncoder(MISSRec):
    """Table 5 (3): a second context encoder block in place of the interest-aware decoder; no interests.

    The user state is the mean of the encoded item tokens.

    Args:
        feature_dims: see :class:`SequenceModel`.
        num_items: see :class:`SequenceModel`.
        num_prototypes: not used; see :class:`SequenceModel`.
        num_encoder_layers: blocks, the replaced decoder's included.
        **options: see :class:`MISSRec`.
    """

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        num_items: int,
        num_prototypes: int,
        *,
        num_encoder_layers: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(feature_dims, num_items, num_prototypes, num_encoder_layers=num_encoder_layers, **options)
        self.decoder.requires_grad_(False)  # not called, and DDP refuses trained weights without gradients

    def encode_users(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> UserStates:
        """See :meth:`SequenceModel.encode_users`; there are no interests to keep apart."""
        encoded, is_padding = self.encode_items(history, length, items)
        state = mean_of(encoded, is_padding)
        return UserStates(state, state[:, None], torch.ones_like(is_padding[:, :1]))


class InterestEncoder(MISSRec):
    """Table 5 (4): an encoder of two blocks reads the interest tokens alone; no context.

    The user state is the mean of the encoded interest tokens.

    Args:
        feature_dims: see :class:`SequenceModel`.
        num_items: see :class:`SequenceModel`.
        num_prototypes: see :class:`SequenceModel`.
        num_encoder_layers: blocks, the replaced decoder's included.
        **options: see :class:`MISSRec`.
    """

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        num_items: int,
        num_prototypes: int,
        *,
        num_encoder_layers: int = 2,
        **options: Any,
    ) -> None:
        super().__init__(feature_dims, num_items, num_prototypes, num_encoder_layers=num_encoder_layers, **options)
        self.decoder.requires_grad_(False)  # not called, and DDP refuses trained weights without gradients
        self.position_embedding.requires_grad_(False)

    def encode_users(
        self, history: Int[Tensor, "B L"], length: Int[Tensor, " B"], items: ItemEmbeddings
    ) -> UserStates:
        """See :meth:`SequenceModel.encode_users`."""
        interest = items.interest[history].flatten(1)
        interests, is_padding = distinct_interests(interest)
        queries = F.embedding(interests, self.interests.prototypes)
        encoded = self.encoder(self.input_dropout(self.input_norm(queries)), is_padding)
        return UserStates(mean_of(encoded, is_padding), encoded, is_padding)


class IDOnly(MISSRecReleased):
    """Figure 4's counterpart: the released network on item IDs alone, without features and interests.

    Args:
        feature_dims: not used; what the data offers.
        num_items: see :class:`SequenceModel`.
        num_prototypes: not used; see :class:`SequenceModel`.
        transductive: has to be True.
        **options: see :class:`MISSRecReleased`.

    Raises:
        ConfigError: an inductive network without features would know nothing, and collaborative vectors are more
            than IDs.
    """

    def __init__(
        self,
        feature_dims: Mapping[str, int],
        num_items: int,
        num_prototypes: int,
        *,
        transductive: bool = True,
        **options: Any,
    ) -> None:
        if not transductive:
            raise ConfigError("model=id_only knows item IDs and nothing else: use setting=transductive.")
        if options.get("collaborative"):
            raise ConfigError(
                f"model.collaborative={options['collaborative']}: model=id_only knows item IDs and nothing else; "
                "leave the flag out."
            )
        super().__init__({"id": 1}, num_items, num_prototypes, transductive=True, **options)
        for part in (self.adapters, self.encoder):  # without content or interests they have nothing to read
            part.requires_grad_(False)

    def embed_items(
        self, features: Any, rows: Any, is_missing: Tensor, ids: Int[Tensor, " U"], fold: int | None = None
    ) -> ItemEmbeddings:
        """One token per item, that of no content and no interest."""
        tokens = self.id_embedding.weight.new_zeros(len(ids), 1, self.position_embedding.embedding_dim)  # type: ignore[union-attr]
        return ItemEmbeddings(tokens, (ids == 0)[:, None], torch.zeros_like(ids)[:, None], ids)

    def score(self, state: Float[Tensor, "B D"], candidates: ItemEmbeddings) -> Float[Tensor, "B C"]:
        """Cosines with the ID embeddings."""
        return F.normalize(state, dim=-1) @ self.id_directions(candidates).T
