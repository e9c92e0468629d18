"""Contrastive and next-item objectives (paper, 3.5 and 3.6). Every function returns one loss per row."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.system.choices import chosen

SeqSeqForm = Literal["paper", "literal", "released"]


def next_item(logits: Float[Tensor, "B C"], target_column: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Softmax cross-entropy over the candidates (eq. 8 with the whole catalogue as candidates)."""
    return F.cross_entropy(logits, target_column, reduction="none")


def sampled_logits(
    logits: Float[Tensor, "B C"], target_column: Int[Tensor, " B"], log_inclusion: Float[Tensor, "*R C"]
) -> Float[Tensor, "B C"]:
    """Logits whose softmax over some of the items estimates the softmax over all of them.

    Every candidate but the row's target is weighted with the inverse of its chance of being one: ``s_j - log
    pi_j`` (the logQ correction of Bengio and Senecal, 2008). ``exp s_t + sum_{j != t} exp(s_j) / pi_j`` then has
    the sum over all items as its expectation (Horvitz and Thompson, 1952). The loss, its logarithm, is a little
    too small on average, the less so the more candidates there are. With all items as candidates nothing changes.

    Args:
        logits: scores over temperature of distinct candidates.
        target_column: place of each row's target; outside of ``0..C - 1`` if it is not among these columns.
        log_inclusion: log of the probability ``pi_j`` of being a candidate of a row with another target, ``[C]``
            for all rows or ``[B, C]``.
    """
    column = target_column.clamp(0, logits.shape[1] - 1)[:, None]
    is_here = (target_column == column[:, 0])[:, None]
    corrected = logits - log_inclusion
    own = torch.where(is_here, logits.gather(1, column), corrected.gather(1, column))
    return corrected.scatter(1, column, own)


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
