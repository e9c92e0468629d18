"""Next-item prediction against the whole catalogue, however large."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.nn import ItemEmbeddings, UserStates
from missrec_pl.objectives import next_item

if TYPE_CHECKING:
    from missrec_pl.modules.base import SequenceRecommender


def whole_catalogue_loss(
    module: SequenceRecommender, batch: SequenceBatch, users: UserStates, items: ItemEmbeddings
) -> Tensor:
    """``[B]`` losses of eq. (8).

    Past ``module.max_logits`` entries the logits are never all there: the candidates come in chunks, of which
    each row keeps the log-sum-exp, and which are computed again on the way back.

    Args:
        module: scores the candidates.
        batch: this process's rows.
        users: their encoded histories.
        items: the embedded catalogue, row = global id.
    """
    first, candidates = (0, items) if module.objective.padding_candidate else (1, items.without_padding())
    column = batch.target - first
    step = max(1, module.max_logits // len(batch))
    if step >= len(candidates.ids):
        return next_item(module.logits(batch, users, items, candidates), column)

    def chunk(start: int) -> tuple[Tensor, Tensor]:
        part = candidates.span(start, start + step)
        logits = module.logits(batch, users, items, part)
        place = column - start
        is_here = (place >= 0) & (place < logits.shape[1])
        own = logits.gather(1, place.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
        return logits.logsumexp(1), own.masked_fill(~is_here, 0.0)

    parts = [checkpoint(chunk, start, use_reentrant=False) for start in range(0, len(candidates.ids), step)]
    totals, targets = zip(*parts, strict=True)
    loss: Tensor = torch.stack(totals).logsumexp(0) - torch.stack(targets).sum(0)
    return loss
