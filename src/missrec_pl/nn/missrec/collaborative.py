"""A modality made of which items the same users chose."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.fitting.spectral import spectral_embeddings
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems

COLLABORATIVE = "collaborative"
"""The modality's name, after those of the features."""


class CollaborativeVectors(Fitted):
    """Spectral embeddings of the items in the graph of items that stood close in training sequences.

    A training row must not find its own user's interactions in the vectors: the network would learn the rows by
    heart. So there is a table for each cross-fitting fold of users, fitted without them, which the fold's rows
    see. Evaluation sees the table that all users made.

    An eigenvector's sign is free, and so is the basis of equal eigenvalues. The checkpoint therefore carries the
    table of all users, to which adapters were fitted, and the folds' tables are turned towards it.

    Args:
        num_items: number ``N`` of real items.
        width: number ``R`` of axes.
    """

    folds = True
    vectors: Tensor
    without_fold: Tensor | None

    def __init__(self, num_items: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(num_items + 1, width))
        self.register_buffer("without_fold", None, persistent=False)
        self._is_turned = False

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return not bool(self.vectors.any())

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Fit the tables; the one of all users stays where a checkpoint has brought it."""
        items, offsets = context.training_parts()
        width, device = self.vectors.shape[1], self.vectors.device
        vectors, without_fold = spectral_embeddings(
            items, offsets, context.catalogue.num_items, width, context.fold_of_user
        )
        if self.is_empty:
            self.vectors.copy_(vectors)
        self.without_fold = None if without_fold is None else without_fold.to(device)
        self._is_turned = False
        return {}

    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: new items have no vector."""
        self.vectors = new.padded(self.vectors)

    def forward(
        self, ids: Int[Tensor, " U"], fold: int | None = None
    ) -> tuple[Float[Tensor, "U R"], Bool[Tensor, " U"]]:
        """Vectors of items, and which items have none.

        Args:
            ids: global item ids.
            fold: the fold whose users have no part in the vectors; None for the vectors of all users.

        Raises:
            RuntimeError: nothing was fitted without the fold.
        """
        rows = (self.vectors if fold is None else self._without(fold))[ids]
        return rows, ~rows.any(1)

    def _without(self, fold: int) -> Tensor:
        if self.without_fold is None:
            raise RuntimeError("the spectral item embeddings were not fitted by folds: fit() them first")
        if not self._is_turned:  # not before: loading a checkpoint replaces what the tables are turned towards
            for table in self.without_fold:
                table.copy_(turned(table, self.vectors))
            self._is_turned = True
        return self.without_fold[fold]


@torch.no_grad()
def turned(table: Float[Tensor, "P R"], towards: Float[Tensor, "P R"]) -> Float[Tensor, "P R"]:
    """The table rotated (and mirrored) to lie as near to another one as it can (orthogonal Procrustes)."""
    # On the CPU, in double precision: every process has to find the same.
    left, _, right = torch.linalg.svd(table.double().cpu().T @ towards.double().cpu())
    rotated: Tensor = table @ (left @ right).to(table)
    return rotated
