"""Second views as the released code makes them, its faults included (``model.compat``)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from missrec_pl.data.augmentations import WORD_DROPPED, drop_words
from missrec_pl.data.batch import SequenceBatch

AUGMENTED_MODALITY = "text"  # the only one that takes part in the released second view


@dataclass(frozen=True, kw_only=True)
class TornBatch(SequenceBatch):
    """Histories whose modalities have come apart.

    Attributes:
        history: ``[B, L]`` rows of ``items`` that say which item a place holds, and what is padding.
        modality_history: ``[M, B, L]`` rows of ``items`` that each modality's token and interest come from.
    """

    modality_history: Tensor


class ReleasedViews:
    """One kind of augmentation for a whole batch: mostly item drop with its scatter fault, else word drop.

    Args:
        probability: probability of dropping an item, or an item's words.
        item_drop_share: share of batches whose items are dropped; the others need the view ``text_worddrop``.
        by_modality: True leaves images where they were, as the release does whose networks have a token for each
            modality; False drops items as wholes (UniSRec's release, which has text alone).
    """

    def __init__(
        self, probability: float = 0.2, item_drop_share: float = 0.9, *, by_modality: bool = True
    ) -> None:
        self.probability = probability
        self.item_drop_share = item_drop_share
        self.drop_items = drop_predecessors if by_modality else drop_whole_predecessors
        self.views = (WORD_DROPPED,) if item_drop_share < 1 else ()

    def __call__(self, batch: SequenceBatch) -> tuple[SequenceBatch, SequenceBatch]:
        """The batch itself, and its second view."""
        keep = torch.rand(batch.history.shape, device=batch.history.device) >= self.probability
        if float(torch.rand(())) < self.item_drop_share:
            return batch, self.drop_items(batch, keep)
        return batch, drop_words(batch, keep)


def drop_predecessors(batch: SequenceBatch, keep: Tensor) -> TornBatch:
    """The batch with items left out where ``keep`` ``[B, L]`` is False, but the wrong ones, and of text only.

    See :func:`drop_whole_predecessors`. Images and their interests stay where they were, so that from then on text
    and image belong to different items.
    """
    assert batch.items is not None, "augmentation needs a batch that carries its features"
    dropped = drop_whole_predecessors(batch, keep)
    return TornBatch(
        history=dropped.history,
        length=dropped.length,
        target=batch.target,
        domain=batch.domain,
        items=batch.items,
        user=batch.user,
        modality_history=torch.stack(
            [dropped.history if name == AUGMENTED_MODALITY else batch.history for name in batch.items.rows]
        ),
    )


def drop_whole_predecessors(batch: SequenceBatch, keep: Tensor) -> SequenceBatch:
    """The batch with items left out where ``keep`` ``[B, L]`` is False, but the wrong ones.

    The release scatters the items to the places that the kept ones shall have. A dropped item has the place of the
    kept one before it, and the last write wins: the predecessor disappears and the dropped item stays. (On CUDA
    the release leaves it to chance which of them stays; here it is as on the CPU.)
    """
    keep = keep | (batch.history == 0)
    keep[:, 0] = True
    place = keep.cumsum(1) - 1
    survives = torch.cat([keep[:, 1:], keep.new_ones(len(keep), 1)], dim=1)  # the last one of its place
    front = (~survives).to(torch.uint8).argsort(dim=1, stable=True)
    history = (batch.history * survives).gather(1, front)
    length = place.gather(1, batch.length[:, None] - 1).squeeze(1) + 1
    return replace(batch, history=history, length=length, times=None, place=None, is_masked=None)
