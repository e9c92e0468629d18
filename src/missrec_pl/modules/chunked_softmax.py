"""Next-item prediction among many candidates, whose logits are never all there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.losses import next_item, sampled_logits
from missrec_pl.nn import ItemEmbeddings
from missrec_pl.nn.encoding import GroupedUsers

if TYPE_CHECKING:
    from missrec_pl.modules.base import SequenceRecommender


def whole_catalogue_loss(
    module: SequenceRecommender, batch: SequenceBatch, users: GroupedUsers, items: ItemEmbeddings
) -> Tensor:
    """``[B]`` losses of eq. (8), all items being candidates.

    Args:
        module: scores the candidates.
        batch: this process's rows.
        users: their encoded histories.
        items: the embedded catalogue, row = global id.
    """
    first, candidates = (0, items) if module.objective.padding_candidate else (1, items.without_padding())
    return chunked_softmax(module, batch, users, items, candidates, batch.target - first)


def sampled_loss(
    module: SequenceRecommender, batch: SequenceBatch, users: GroupedUsers, items: ItemEmbeddings
) -> Tensor:
    """``[B]`` losses of eq. (8), its denominator estimated from the batch's candidates.

    Args:
        module: scores the candidates.
        batch: this process's rows and the candidates of the global batch.
        users: their encoded histories.
        items: the embedded item table of the batch.
    """
    chosen = batch.candidates
    assert chosen is not None, "the data module draws the candidates"
    column = torch.searchsorted(chosen.rows, batch.target)
    candidates = items.take(chosen.rows)
    return chunked_softmax(module, batch, users, items, candidates, column, chosen.log_inclusion)


def chunked_softmax(
    module: SequenceRecommender,
    batch: SequenceBatch,
    users: GroupedUsers,
    items: ItemEmbeddings,
    candidates: ItemEmbeddings,
    column: Tensor,
    log_inclusion: Tensor | None = None,
) -> Tensor:
    """``[B]`` cross-entropies.

    Past ``module.max_logits`` entries the candidates come in chunks, of which each row keeps the log-sum-exp, and
    whose logits are computed again on the way back.

    Args:
        module: scores the candidates.
        batch: this process's rows.
        users: their encoded histories.
        items: the embedded item table that the histories refer to.
        candidates: ``C`` distinct items.
        column: ``[B]`` each row's target among them.
        log_inclusion: ``[C]``, see :func:`sampled_logits`; None if the candidates are all items.
    """

    def logits_of(part: ItemEmbeddings, start: int) -> Tensor:
        logits = module.logits(batch, users.state, items, part)
        if log_inclusion is None:
            return logits
        return sampled_logits(logits, column - start, log_inclusion[start : start + logits.shape[1]])

    def chunk(start: int) -> tuple[Tensor, Tensor]:
        logits = logits_of(candidates.span(start, start + step), start)
        place = column - start
        is_here = (place >= 0) & (place < logits.shape[1])
        own = logits.gather(1, place.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
        return logits.logsumexp(1), own.masked_fill(~is_here, 0.0)

    step = max(1, module.max_logits // len(batch))
    if step >= len(candidates.ids):
        return next_item(logits_of(candidates, 0), column)
    parts = [checkpoint(chunk, start, use_reentrant=False) for start in range(0, len(candidates.ids), step)]
    totals, targets = zip(*parts, strict=True)
    loss: Tensor = torch.stack(totals).logsumexp(0) - torch.stack(targets).sum(0)
    return loss
