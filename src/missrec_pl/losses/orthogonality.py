"""The orthogonality term that keeps the interest-aware vectors of a user apart (paper, eq. 7)."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from missrec_pl.system.choices import chosen

OrthogonalityForm = Literal["cosine", "literal", "released"]


def orthogonality(
    vectors: Float[Tensor, "B Q D"],
    is_padding: Bool[Tensor, "B Q"],
    form: OrthogonalityForm = "cosine",
    batch_size: int | None = None,
) -> Float[Tensor, " B"]:
    """``1 / M^2 * sum_{m, m'} <xi_m, xi_m'>``, which is the squared norm of the mean vector.

    Args:
        vectors: the decoded interests ``xi`` of each user.
        is_padding: which of them mean nothing.
        form: ``"cosine"`` normalises the vectors first, so that the term is a mean cosine; ``"literal"`` takes
            them as they are, as eq. (7) is printed: on LayerNorm outputs nearly a constant of size ``D``;
            ``"released"`` is what the authors' code computes, see :func:`_released`.
        batch_size: rows of the global batch, by default those that are given; the released form grows with it.

    Raises:
        ConfigError: an unknown form.
    """
    chosen("objective.orthogonality_form", form, get_args(OrthogonalityForm))
    if form == "released":
        return _released(vectors, is_padding, len(vectors) if batch_size is None else batch_size)
    weight = (~is_padding).to(vectors.dtype)
    count = weight.sum(1, keepdim=True).clamp_min(1)
    if form == "cosine":
        weight = weight / vectors.norm(dim=-1).clamp_min(1e-12)
    mean = torch.bmm(weight[:, None], vectors)[:, 0] / count
    return mean.square().sum(-1)


def _released(
    vectors: Float[Tensor, "B Q D"], is_padding: Bool[Tensor, "B Q"], batch_size: int
) -> Float[Tensor, " B"]:
    """``batch_size / D * |sum_q xi_q * share|^2``, the share being that of the columns that are no padding.

    Padding is summed like everything else, and the share depends on how far the batch is padded. The authors sum
    over the batch where other terms average: each row carries the batch size, so that the mean is that sum.
    """
    share = (~is_padding).to(vectors.dtype).mean(1, keepdim=True)
    pooled = vectors.sum(1) * share
    return pooled.square().sum(-1) * (batch_size / vectors.shape[-1])
