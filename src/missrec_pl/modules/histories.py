"""Batches of the data layer as networks and scorers read them."""

from __future__ import annotations

from dataclasses import replace

import torch

from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.nn.contract import Histories, Items
from missrec_pl.nn.encoding import with_masked_place as with_masked_place


def before_places(batch: SequenceBatch) -> Histories:
    """What stands before each target of a batch with targets at several places, unmasked."""
    assert batch.place is not None, "asked of such batches alone"
    width = batch.history.shape[1]
    row, position = batch.place // width, batch.place % width
    shown, length = batch.history, position + 1
    if batch.is_masked is not None:  # the item at a hidden place is its target
        shown, length = shown.flatten().index_copy(0, batch.place, batch.target).view_as(shown), position
    everywhere = torch.arange(width + 1, device=row.device)
    is_before = everywhere[:-1] < length[:, None]
    times = None if batch.times is None else batch.times[row] * (everywhere <= length[:, None])
    return Histories(shown[row] * is_before, length, future=batch.future, times=times)


def torn(batch: TornBatch, histories: Histories, items: Items) -> tuple[Histories, Items]:
    """Histories whose modalities have come apart, over a table of their own."""
    padding = batch.history.new_zeros(1)
    whole = torch.cat([padding, batch.history.flatten()])
    rows = torch.cat([padding.expand(1, len(batch.modality_history)), batch.modality_history.flatten(1).T])
    history = torch.arange(1, len(whole), device=whole.device).view_as(batch.history)
    modality = torch.arange(rows.shape[1], device=rows.device)
    own = items.apply(lambda tensor: tensor[rows, modality] if tensor.dim() > 1 else tensor[whole])
    return replace(histories, rows=history), own


def rows_of(batch: SequenceBatch, rows: slice) -> SequenceBatch:
    """Some rows of a batch."""
    columns = {name: getattr(batch, name) for name in ("history", "length", "target", "domain", "user", "times")}
    return replace(batch, **{name: column[rows] for name, column in columns.items() if column is not None})
