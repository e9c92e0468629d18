"""Cosines as scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from missrec_pl.nn.blocks.modalities import NOTHING_TO_COMPARE
from missrec_pl.nn.blocks.unit_vectors import unit_vectors


def cosine_scores(
    state: Float[Tensor, "R D"], vectors: Float[Tensor, "*K D"], *, of_nothing: float = NOTHING_TO_COMPARE
) -> Float[Tensor, "R C"]:
    """Cosines of users and candidates.

    Args:
        state: user states.
        vectors: candidates that all rows share, ``[C, D]``, or each row's own, ``[R, C, D]``.
        of_nothing: the score of a zero vector, which an item has that nothing is known of.
    """
    user, unit = unit_vectors(state), unit_vectors(vectors)
    scores = user @ unit.T if unit.dim() == 2 else torch.bmm(unit, user[:, :, None])[:, :, 0]
    return scores.masked_fill((vectors == 0).all(-1), of_nothing)
