"""Encoding a batch without work on padding."""

from __future__ import annotations

import torch
from torch import Tensor

from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.nn import ItemEmbeddings, SequenceModel, UserStates
from missrec_pl.system.precision import widened


class GroupedUsers:
    """Encoded users of a batch, in groups that are padded each for itself.

    Attributes:
        groups: the users of each group.
        state: ``[B, D]`` user states in the order of the batch, never in less than float32.

    Args:
        groups: the users of each group.
        place: ``[B]`` where each row of the batch stands in the groups laid end to end; None: in their order.
    """

    def __init__(self, groups: list[UserStates], place: Tensor | None = None) -> None:
        self.groups = groups
        self._place = place
        self.state = self.in_order([widened(group.state) for group in groups])

    def in_order(self, of_groups: list[Tensor]) -> Tensor:
        """What there is of each group's users, in the order of the batch."""
        joined = torch.cat(of_groups)
        return joined if self._place is None else joined[self._place]


def encode_in_buckets(
    model: SequenceModel, history: Tensor, length: Tensor, items: ItemEmbeddings, num_buckets: int
) -> GroupedUsers:
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
        return GroupedUsers([model.encode_users(history, length, items)])
    order = length.argsort()
    parts = []
    for rows in order.chunk(num_buckets):
        width = int(length[rows[-1]])
        parts.append(model.encode_users(history[rows, :width], length[rows], items))
    return GroupedUsers(parts, order.argsort())


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
