"""Second views of a batch for sequence-sequence contrast. Each is a small class that the config chooses.

An augmentation that needs other features of the items (views, such as word-dropped text) names them in ``views``;
the batch's item table then carries them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.catalogue import VIEWS
from missrec_pl.data.items.table import ItemTable
from missrec_pl.system.shapes import are_fixed

WORD_DROPPED = "text_worddrop"


class Augmentation(Protocol):
    """Makes the two views that seq-seq contrast compares."""

    def __call__(self, batch: SequenceBatch) -> tuple[SequenceBatch, SequenceBatch]:
        """The two views of a batch that carries its item table."""
        ...


@dataclass(eq=False)
class FeatureDropout:
    """Dropout on the features, drawn anew for each view (paper, 3.2.2).

    The draw is per distinct item of the batch, so that adapters run once per item and view.

    Attributes:
        probability: share of feature values dropped.
    """

    probability: float = 0.2

    def __call__(self, batch: SequenceBatch) -> tuple[SequenceBatch, SequenceBatch]:
        """Both views with features dropped."""
        assert batch.items is not None, "augmentation needs a batch that carries its features"
        return batch.with_items(self._drop(batch.items)), batch.with_items(self._drop(batch.items))

    def _drop(self, items: ItemTable) -> ItemTable:
        dropped = {name: F.dropout(rows, self.probability) for name, rows in items.features.items()}
        return replace(items, features=dropped)


@dataclass(eq=False)
class ItemDrop:
    """The second view leaves out items of the history (released code, without its scatter fault).

    The first item always stays, so that no history becomes empty.

    Attributes:
        probability: probability of leaving an item out.
    """

    probability: float = 0.2

    def __call__(self, batch: SequenceBatch) -> tuple[SequenceBatch, SequenceBatch]:
        """The batch itself, and the batch with items left out."""
        keep = torch.rand(batch.history.shape, device=batch.history.device) >= self.probability
        return batch, drop_items(batch, keep)


@dataclass(eq=False)
class WordDrop:
    """The second view has some of its items' texts with words left out (released code).

    The data brings those texts' features: the view ``text_worddrop``, a released folder's ``.feat2CLS``. The draw
    is per place in a history.

    Attributes:
        probability: probability of an item to appear with words left out.
    """

    probability: float = 0.2

    views = (WORD_DROPPED,)

    def __call__(self, batch: SequenceBatch) -> tuple[SequenceBatch, SequenceBatch]:
        """The batch itself, and the batch with words left out."""
        keep = torch.rand(batch.history.shape, device=batch.history.device) >= self.probability
        return batch, drop_words(batch, keep)


def drop_words(batch: SequenceBatch, keep: Tensor) -> SequenceBatch:
    """The batch with word-dropped text for the items where ``keep`` ``[B, L]`` is False.

    Its item table holds every item twice: as it is, and further down with words left out.
    """
    items = batch.items
    assert items is not None, "augmentation needs a batch that carries its features"
    size = len(items.ids)
    dropped = {**items.features, VIEWS[WORD_DROPPED]: items.views[WORD_DROPPED]}
    table = ItemTable(
        ids=torch.cat([items.ids, items.ids]),
        is_missing=torch.cat([items.is_missing, items.is_missing]),
        rows={name: torch.cat([rows, rows + size]) for name, rows in items.rows.items()},
        features={name: torch.cat([rows, dropped[name].to(rows)]) for name, rows in items.features.items()},
        attributes={name: torch.cat([values, values]) for name, values in items.attributes.items()},
    )
    is_dropped = ~keep & (batch.history != 0)
    return replace(batch, history=batch.history + size * is_dropped, items=table)


def drop_items(batch: SequenceBatch, keep: Tensor) -> SequenceBatch:
    """The batch with the items where ``keep`` ``[B, L]`` is False left out, the first item excepted."""
    keep = keep & (batch.history != 0)
    keep[:, 0] = True
    front = (~keep).to(torch.uint8).argsort(dim=1, stable=True)
    history = (batch.history * keep).gather(1, front)
    length = keep.sum(1)
    width = history.shape[1] if are_fixed(history.device) else int(length.max())
    times = None
    if batch.times is not None:  # the request keeps its time, behind what is left
        kept = batch.times[:, :-1].gather(1, front)[:, :width]
        request = batch.times.gather(1, batch.length[:, None])
        times = torch.nn.functional.pad(kept, (0, 1)).scatter(1, length[:, None], request)
    # Its places are others than the targets'; what was hidden is left out.
    return replace(batch, history=history[:, :width], length=length, times=times, place=None, is_masked=None)
