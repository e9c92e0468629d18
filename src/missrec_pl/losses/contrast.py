"""The terms beside the next item (paper, 3.5 and 3.6). Every function returns one value per user."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.system.choices import chosen

SeqSeqForm = Literal["paper", "literal", "released"]
OrthogonalityForm = Literal["cosine", "literal", "released"]


def seq_seq(
    state: Float[Tensor, "B D"],
    all_states: Float[Tensor, "G D"],
    all_augmented: Float[Tensor, "G D"],
    own_column: Int[Tensor, " B"],
    temperature: float,
    form: SeqSeqForm = "paper",
) -> Float[Tensor, " B"]:
    """Sequence-sequence contrastive loss (eq. 6).

    Args:
        state: this process's user states ``u``.
        all_states: the user states of the global batch.
        all_augmented: the states ``u'`` of their second views, in the same order.
        own_column: position of each row of ``state`` in the global batch.
        temperature: ``tau``.
        form: ``"paper"`` leaves ``<u_i, u_i>`` out of the denominator, ``"literal"`` keeps it as printed in
            eq. (6), ``"released"`` contrasts with the second views alone.

    Raises:
        ConfigError: an unknown form.
    """
    chosen("objective.seq_seq_form", form, get_args(SeqSeqForm))
    user = F.normalize(state, dim=-1)
    across = user @ F.normalize(all_augmented, dim=-1).T / temperature
    if form == "released":
        return F.cross_entropy(across, own_column, reduction="none")
    within = user @ F.normalize(all_states, dim=-1).T / temperature
    if form == "paper":
        within = within.scatter(1, own_column[:, None], float("-inf"))
    return F.cross_entropy(torch.cat([across, within], dim=1), own_column, reduction="none")


def orthogonality(
    vectors: Float[Tensor, "B Q D"],
    is_padding: Bool[Tensor, "B Q"],
    form: OrthogonalityForm = "cosine",
    batch_size: int | None = None,
) -> Float[Tensor, " B"]:
    """``1 / M^2 * sum_{m, m'} <xi_m, xi_m'>`` (eq. 7), the squared norm of the mean vector.

    It keeps the interest-aware vectors of a user apart.

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
