"""Sequence-item contrast against the targets of the global batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.losses import seq_item
from missrec_pl.nn import ItemEmbeddings
from missrec_pl.nn.encoding import GroupedUsers
from missrec_pl.system.processes import first_own_row, gather_rows

if TYPE_CHECKING:
    from missrec_pl.modules.base import SequenceRecommender


def in_batch_loss(
    module: SequenceRecommender,
    batch: SequenceBatch,
    users: GroupedUsers,
    items: ItemEmbeddings,
    counts: list[int],
) -> Tensor:
    """``[B]`` losses of eq. (5); negatives come from all processes, with gradients.

    Args:
        module: scores the candidates.
        batch: this process's rows.
        users: their encoded histories.
        items: the embedded item table of the batch.
        counts: rows of each process, as of :func:`row_counts`.
    """
    own = items.take(batch.target)
    is_missing = gather_rows(own.is_missing.to(torch.uint8), counts).bool()
    no_interest = is_missing.new_zeros(is_missing.shape, dtype=torch.long)  # candidates are not asked for theirs
    candidates = ItemEmbeddings(
        gather_rows(own.tokens, counts), is_missing, no_interest, gather_rows(own.ids, counts)
    )
    logits = module.logits(batch, users.state, items, candidates)
    column = own_columns(batch, counts)
    return seq_item(logits, column, own.ids, candidates.ids, mask_duplicates=module.objective.mask_duplicates)


def own_columns(batch: SequenceBatch, counts: list[int]) -> Tensor:
    """``[B]`` positions of this process's rows in the global batch; ``counts`` as of :func:`row_counts`."""
    return first_own_row(counts) + torch.arange(len(batch), device=batch.target.device)
