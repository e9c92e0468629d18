"""The interest table: prototypes and the interest index of every item token (paper, 3.3)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class InterestTable(nn.Module):
    """Discovered interests, kept as buffers so that a checkpoint carries them.

    Row 0 of the prototypes is "none". The table is empty (``num_refreshes == 0``) until the first refresh.

    Args:
        num_prototypes: number ``K`` of interest prototypes.
        num_items: number ``N`` of real items.
        num_modalities: number ``M`` of modalities.
        hidden_size: width ``D``.
    """

    prototypes: Tensor
    assignment: Tensor
    num_refreshes: Tensor

    def __init__(self, num_prototypes: int, num_items: int, num_modalities: int, hidden_size: int) -> None:
        super().__init__()
        self.register_buffer("prototypes", torch.zeros(num_prototypes + 1, hidden_size))
        self.register_buffer("assignment", torch.zeros(num_items + 1, num_modalities, dtype=torch.long))
        self.register_buffer("num_refreshes", torch.zeros((), dtype=torch.long))

    @property
    def num_prototypes(self) -> int:
        """Number ``K`` of prototypes."""
        return self.prototypes.shape[0] - 1

    @property
    def is_empty(self) -> bool:
        """True before the first refresh."""
        return int(self.num_refreshes) == 0

    @torch.no_grad()
    def update(
        self,
        prototypes: Float[Tensor, "K D"],
        assignment: Int[Tensor, " P"],
        is_missing: Bool[Tensor, "U M"],
    ) -> None:
        """Replace the table.

        Args:
            prototypes: the new prototypes.
            assignment: 0-based prototype of each present token, in row-major order of ``~is_missing``.
            is_missing: which tokens of the catalogue do not exist; they get interest 0.
        """
        self.prototypes[1:] = prototypes.to(self.prototypes)
        self.assignment.zero_()
        self.assignment[~is_missing] = assignment.to(self.assignment) + 1
        self.num_refreshes += 1


def distinct_interests(interest: Int[Tensor, "B S"]) -> tuple[Int[Tensor, "B Q"], Bool[Tensor, "B Q"]]:
    """De-duplicated interests of a history (paper, 3.3.2): rows of the prototypes, and which are padding.

    Args:
        interest: interest index of every token of the history, 0 = none, repeats allowed.

    Returns:
        The distinct interests of each row in ascending index, padded at the end with 0 to the longest row of the
        batch (at least one column), and which of them are padding.
    """
    ordered, is_repeat = sorted_interests(interest)
    is_padding = is_repeat | (ordered == 0)
    width = max(int((~is_padding).sum(1).max()), 1)
    front = is_padding.to(torch.uint8).argsort(dim=1, stable=True)[:, :width]
    is_padding = is_padding.gather(1, front)
    return ordered.gather(1, front).masked_fill(is_padding, 0), is_padding


def sorted_interests(interest: Int[Tensor, "B S"]) -> tuple[Int[Tensor, "B S"], Bool[Tensor, "B S"]]:
    """The interests of each row in ascending index, and which of them repeat the one before."""
    ordered = interest.sort(dim=1).values
    is_repeat = torch.zeros_like(ordered, dtype=torch.bool)
    is_repeat[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return ordered, is_repeat
