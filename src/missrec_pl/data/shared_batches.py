"""Global batches as one process sees them: its own rows, and what all processes draw alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from missrec_pl.data.samplers import GlobalBatchSampler


@dataclass(frozen=True)
class SharedBatch:
    """A global batch as one process sees it.

    Attributes:
        everyones: the samples of all processes, in the order of one process.
        own: which of them are this process's.
        stream: seed of what all processes draw for this batch: (seed, epoch, batch).
    """

    everyones: NDArray[np.int64]
    own: slice
    stream: tuple[int, int, int]


class SharedBatchSampler(Sampler[SharedBatch]):
    """The batches of a :class:`GlobalBatchSampler`, with what all processes have to know of them.

    Args:
        batches: the sampler of this process.
    """

    def __init__(self, batches: GlobalBatchSampler) -> None:
        self.batches = batches

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's shuffle; Lightning calls this."""
        self.batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[SharedBatch]:
        own = self.batches
        for number, batch in enumerate(own.global_batches()):
            everyones = batch.astype(np.int64, copy=False)
            yield SharedBatch(everyones, slice(own.rank, None, own.world_size), (own.seed, own.epoch, number))
