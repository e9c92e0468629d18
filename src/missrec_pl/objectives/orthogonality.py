"""The orthogonality term that keeps the interest-aware vectors of a user apart (paper, eq. 7)."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from missrec_pl.errors import ConfigError

ORTHOGONALITY_FORMS = ("cosine", "literal")


def orthogonality(
    vectors: Float[Tensor, "B Q D"], is_padding: Bool[Tensor, "B Q"], form: str = "cosine"
) -> Float[Tensor, " B"]:
    """``1 / M^2 * sum_{m, m'} <xi_m, xi_m'>``, which is the squared norm of the mean vector.

    Args:
        vectors: the decoded interests ``xi`` of each user.
        is_padding: which of them mean nothing.
        form: ``"cosine"`` normalises the vectors first, so that the term is a mean cosine; ``"literal"`` takes
            them as they are, as eq. (7) is printed: on LayerNorm outputs nearly a constant of size ``D``.

    Raises:
        ConfigError: an unknown form.
    """
    if form not in ORTHOGONALITY_FORMS:
        raise ConfigError(
            f"objective.orthogonality_form={form!r}: choose one of {', '.join(ORTHOGONALITY_FORMS)}."
        )
    if form == "cosine":
        vectors = F.normalize(vectors, dim=-1)
    weight = (~is_padding).to(vectors.dtype)[:, :, None]
    mean = (vectors * weight).sum(1) / weight.sum(1).clamp_min(1)
    return mean.square().sum(-1)
