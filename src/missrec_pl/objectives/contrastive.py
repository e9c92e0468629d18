"""Contrastive and next-item objectives (paper, 3.5 and 3.6). Every function returns one loss per row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.errors import ConfigError

SEQ_SEQ_FORMS = ("paper", "literal", "released")


def next_item(logits: Float[Tensor, "B C"], target_column: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Softmax cross-entropy over the candidates (eq. 8 with the whole catalogue as candidates)."""
    return F.cross_entropy(logits, target_column, reduction="none")


def sampled_next_item(
    own: Float[Tensor, " B"],
    negatives: Float[Tensor, "B S"],
    target_ids: Int[Tensor, " B"],
    negative_ids: Int[Tensor, " S"],
    num_items: int,
) -> Float[Tensor, " B"]:
    """Softmax over the whole catalogue, its denominator estimated from items drawn with equal probability.

    ``-s_t + log(exp s_t + (N - 1) / n * sum_negatives exp s)`` with the n negatives that are not the target: the
    sum's expectation is that of all other items (Jean et al., *On using very large target vocabulary*, 2015, with
    a uniform proposal). With all items as negatives it is :func:`next_item`.

    Args:
        own: logit of each row's target.
        negatives: logits of the drawn items, the same for all rows.
        target_ids: global item id of each row's target.
        negative_ids: global item ids of the drawn items; repeats allowed.
        num_items: ``N``.
    """
    is_target = target_ids[:, None] == negative_ids[None, :]
    count = (~is_target).sum(1).clamp_min(1)
    others = negatives.masked_fill(is_target, float("-inf")).logsumexp(1)
    others = others + torch.log((num_items - 1) / count)
    return torch.logaddexp(own, others) - own


def seq_item(
    logits: Float[Tensor, "B C"],
    target_column: Int[Tensor, " B"],
    target_ids: Int[Tensor, " B"],
    candidate_ids: Int[Tensor, " C"],
    *,
    mask_duplicates: bool = True,
) -> Float[Tensor, " B"]:
    """Sequence-item contrastive loss with in-batch negatives (eq. 5).

    Args:
        logits: scores over temperature.
        target_column: column of each row's positive.
        target_ids: global item id of each row's positive.
        candidate_ids: global item id of each column.
        mask_duplicates: whether a negative that is the row's positive item again is taken out of the softmax (the
            released code leaves it in).
    """
    if not mask_duplicates:
        return F.cross_entropy(logits, target_column, reduction="none")
    is_duplicate = target_ids[:, None] == candidate_ids[None, :]
    is_duplicate = is_duplicate.scatter(1, target_column[:, None], False)
    return F.cross_entropy(logits.masked_fill(is_duplicate, float("-inf")), target_column, reduction="none")


def seq_seq(
    state: Float[Tensor, "B D"],
    all_states: Float[Tensor, "G D"],
    all_augmented: Float[Tensor, "G D"],
    own_column: Int[Tensor, " B"],
    temperature: float,
    form: str = "paper",
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
    if form not in SEQ_SEQ_FORMS:
        raise ConfigError(f"objective.seq_seq_form={form!r}: choose one of {', '.join(SEQ_SEQ_FORMS)}.")
    user = F.normalize(state, dim=-1)
    across = user @ F.normalize(all_augmented, dim=-1).T / temperature
    if form == "released":
        return F.cross_entropy(across, own_column, reduction="none")
    within = user @ F.normalize(all_states, dim=-1).T / temperature
    if form == "paper":
        within = within.scatter(1, own_column[:, None], float("-inf"))
    return F.cross_entropy(torch.cat([across, within], dim=1), own_column, reduction="none")
