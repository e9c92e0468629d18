"""Item tokens, and what is computed once of those that are candidates."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.nn.blocks.attention import MultiHeadAttention, Projected
from missrec_pl.nn.blocks.modalities import Comparable, comparable, mean_directions
from missrec_pl.nn.blocks.unit_vectors import unit_vectors
from missrec_pl.nn.contract import Items, Users


class ItemTokens(Items):
    """Items as one token for each modality: ``vectors [U, M, D]``, zeros where the modality is missing."""

    @property
    def tokens(self) -> Float[Tensor, "U M D"]:
        """The item tokens."""
        return self.vectors

    @property
    def is_missing(self) -> Bool[Tensor, "U M"]:
        """True where the item lacks the modality, and for padding."""
        return self.extra["is_missing"]

    @property
    def interest(self) -> Int[Tensor, "U M"]:
        """Interest index of every token, 0 = none."""
        return self.extra["interest"]

    def take(self, rows: Tensor) -> ItemTokens:
        """See :meth:`Items.take`: candidates, with what a score reads."""
        return ItemTokens(self.vectors[rows], self.ids[rows], {"is_missing": self.is_missing[rows]})

    @cached_property
    def flat(self) -> Float[Tensor, "U MD"]:
        """The tokens of an item side by side."""
        return self.tokens.flatten(1)

    @cached_property
    def summed(self) -> Float[Tensor, "U D"]:
        """The sum of an item's tokens."""
        return self.tokens.sum(1)

    @cached_property
    def groups(self) -> list[Comparable]:
        """The items by the modalities that they have, for a learned fusion."""
        return comparable(self.tokens, self.is_missing)

    @cached_property
    def means(self) -> list[Comparable]:
        """The items as one mean direction each, for a static fusion."""
        return mean_directions(self.tokens, self.is_missing)

    @cached_property
    def without_missing(self) -> ItemTokens:
        """The same items as if every token existed (reference mode)."""
        return ItemTokens(self.vectors, self.ids, {**self.extra, "is_missing": torch.zeros_like(self.is_missing)})

    def directions(self, table: Float[Tensor, "N D"]) -> Float[Tensor, "U D"]:
        """Normalised rows of a table of all items, looked up once.

        Without the table's ``padding_idx``: where padding is a candidate it learns, too (reference mode).
        """
        if "_directions" not in self.__dict__:
            self.__dict__["_directions"] = unit_vectors(F.embedding(self.ids, table))
        return self.__dict__["_directions"]  # type: ignore[no-any-return]

    def projected(self, attention: MultiHeadAttention, prototypes: Float[Tensor, "K D"]) -> Projected:
        """Projections of the prototypes that these items' interests are rows of, made once."""
        if "_projected" not in self.__dict__:
            self.__dict__["_projected"] = Projected.of(attention, prototypes)
        return self.__dict__["_projected"]  # type: ignore[no-any-return]


def interest_users(
    state: Float[Tensor, "B D"], interests: Float[Tensor, "B Q D"], is_padding: Bool[Tensor, "B Q"]
) -> Users:
    """Users with the vectors that an orthogonality term keeps apart, and which of those mean nothing."""
    return Users(state, {"interests": interests, "is_interest_padding": is_padding})


def mean_of(vectors: Float[Tensor, "B S D"], is_padding: Bool[Tensor, "B S"]) -> Float[Tensor, "B D"]:
    """Mean of the vectors that are no padding; zeros where all are."""
    weight = (~is_padding).to(vectors.dtype)[:, :, None]
    return (vectors * weight).sum(1) / weight.sum(1).clamp_min(1)
