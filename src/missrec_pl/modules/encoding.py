"""Encoding a batch without work on padding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.nn import ItemEmbeddings, SequenceModel, UserStates


def encode_in_buckets(
    model: SequenceModel, history: Tensor, length: Tensor, items: ItemEmbeddings, num_buckets: int
) -> UserStates:
    """Encode the rows in groups of similar length, each padded to its own longest row.

    The same rows and the same mathematics as one padded batch; only the order of dropout draws differs.

    Args:
        model: the network.
        history: ``[B, L]`` rows of ``items``, right-padded with 0.
        length: ``[B]`` items of each history.
        items: the embedded item table.
        num_buckets: number of groups; a network that depends on padding takes the batch as it is.
    """
    if model.depends_on_padding or num_buckets <= 1 or len(history) < 2 * num_buckets:
        return model.encode_users(history, length, items)
    order = length.argsort()
    parts = []
    for rows in order.chunk(num_buckets):
        width = int(length[rows[-1]])
        parts.append(model.encode_users(history[rows, :width], length[rows], items))
    back = order.argsort()
    most = max(part.interests.shape[1] for part in parts)
    state = torch.cat([part.state for part in parts])
    interests = torch.cat([F.pad(part.interests, (0, 0, 0, most - part.interests.shape[1])) for part in parts])
    is_padding = torch.cat(
        [F.pad(part.is_padding, (0, most - part.is_padding.shape[1]), value=True) for part in parts]
    )
    return UserStates(state[back], interests[back], is_padding[back])


def history_rows(batch: SequenceBatch, items: ItemEmbeddings) -> tuple[Tensor, ItemEmbeddings]:
    """The histories of a batch as rows of an item table; a torn batch gets a table of its own.

    Args:
        batch: the histories.
        items: the embedded item table of the batch.
    """
    if not isinstance(batch, TornBatch):
        return batch.history, items
    padding = batch.history.new_zeros(1)
    whole = torch.cat([padding, batch.history.flatten()])
    rows = torch.cat([padding.expand(1, len(batch.modality_history)), batch.modality_history.flatten(1).T])
    history = torch.arange(1, len(whole), device=whole.device).view_as(batch.history)
    return history, items.recombine(rows, whole)
