"""What the networks exchange: embedded items and encoded users."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.nn.memo import Memo


@dataclass(frozen=True)
class ItemEmbeddings:
    """The items that a step touches, after the adapters. Row 0 is the padding item.

    Attributes:
        tokens: ``[U, M, D]`` item tokens, one per modality; zeros where the modality is missing.
        is_missing: ``[U, M]``, True where the item lacks the modality (and for padding).
        interest: ``[U, M]`` interest index of every token, 0 = none.
        ids: ``[U]`` global item ids, the rows of the ID table.
        memo: what was made of this table alone.
    """

    tokens: Float[Tensor, "U M D"]
    is_missing: Bool[Tensor, "U M"]
    interest: Int[Tensor, "U M"]
    ids: Int[Tensor, " U"]
    memo: Memo = field(default_factory=Memo, init=False, repr=False, compare=False)

    def take(self, rows: Int[Tensor, " C"]) -> ItemEmbeddings:
        """The given rows, in the given order (gradients flow back to ``tokens``)."""
        return ItemEmbeddings(self.tokens[rows], self.is_missing[rows], self.interest[rows], self.ids[rows])

    def span(self, start: int, stop: int) -> ItemEmbeddings:
        """Rows ``start..stop - 1`` (views, no copy)."""
        rows = slice(start, stop)
        return ItemEmbeddings(self.tokens[rows], self.is_missing[rows], self.interest[rows], self.ids[rows])

    def recombine(self, rows: Int[Tensor, "P M"], items: Int[Tensor, " P"]) -> ItemEmbeddings:
        """Rows whose modalities come from different items.

        Args:
            rows: the row that each modality comes from.
            items: the row that gives the item id, and with it the ID embedding and what is padding.
        """
        modality = torch.arange(rows.shape[1], device=rows.device)
        return ItemEmbeddings(
            self.tokens[rows, modality],
            self.is_missing[rows, modality],
            self.interest[rows, modality],
            self.ids[items],
        )

    def without_padding(self) -> ItemEmbeddings:
        """All rows but the padding item of row 0 (views, no copy)."""
        return self.memo.once(
            "without padding",
            lambda: ItemEmbeddings(self.tokens[1:], self.is_missing[1:], self.interest[1:], self.ids[1:]),
        )


@dataclass(frozen=True)
class UserStates:
    """Encoded users.

    Attributes:
        state: ``[B, D]`` user states ``u``, not normalised.
        interests: ``[B, Q, D]`` the vectors that the orthogonality term keeps apart.
        is_padding: ``[B, Q]``, True where a row of ``interests`` means nothing.
    """

    state: Float[Tensor, "B D"]
    interests: Float[Tensor, "B Q D"]
    is_padding: Bool[Tensor, "B Q"]


def mean_of(vectors: Float[Tensor, "B S D"], is_padding: Bool[Tensor, "B S"]) -> Float[Tensor, "B D"]:
    """Mean of the vectors that are no padding; zeros where all are."""
    weight = (~is_padding).to(vectors.dtype)[:, :, None]
    return (vectors * weight).sum(1) / weight.sum(1).clamp_min(1)
