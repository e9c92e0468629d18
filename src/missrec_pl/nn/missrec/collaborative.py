"""A modality made of what users bought together."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

COLLABORATIVE = "collaborative"
"""The modality's name, after those of the features."""


class CollaborativeVectors(nn.Module):
    """Vectors of the items' places in the graph of what was bought together, of the training part.

    A training row must not find its own user's purchases in the vectors: the network would learn the rows by
    heart. So there is a table for each fold of users, made by all others, which the rows of the fold see; what is
    ranked sees the table that all users made.

    An eigenvector's sign is free, and so is the basis of equal eigenvalues. The checkpoint therefore carries the
    table of all users, to which adapters were fitted, and the folds' tables are turned towards it.

    Args:
        num_items: number ``N`` of real items.
        width: number ``R`` of axes.
    """

    vectors: Tensor
    without_fold: Tensor | None

    def __init__(self, num_items: int, width: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(num_items + 1, width))
        self.register_buffer("without_fold", None, persistent=False)
        self._is_turned = False

    def attach(self, vectors: Float[Tensor, "_ R"], without_fold: Float[Tensor, "G _ R"] | None = None) -> None:
        """Take the vectors of the data in use, unit length or 0 where nothing is known of an item.

        Args:
            vectors: made by all users.
            without_fold: made by all users but a fold's, for each fold; kept, not copied. None if nothing is to be
                trained.
        """
        self.vectors.copy_(vectors)
        self.without_fold = None if without_fold is None else without_fold.to(self.vectors)
        self._is_turned = False

    def forward(
        self, ids: Int[Tensor, " U"], fold: int | None = None
    ) -> tuple[Float[Tensor, "U R"], Bool[Tensor, " U"]]:
        """Vectors of items, and which items have none.

        Args:
            ids: global item ids.
            fold: the fold whose users have no part in the vectors; None for the vectors of all users.

        Raises:
            RuntimeError: nothing is attached that leaves users out.
        """
        table = self.vectors if fold is None else self._without(fold)
        rows = table[ids]
        return rows, ~rows.any(1)

    def _without(self, fold: int) -> Tensor:
        if self.without_fold is None:
            raise RuntimeError("no vectors that leave users out are attached: attach() them first")
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
