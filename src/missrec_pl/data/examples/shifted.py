"""A row is a stretch of a training part, with the item after each place as a target."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.examples.base import Located, TrainingExamples
from missrec_pl.data.examples.stretches import cut, places


class ShiftedStretches(TrainingExamples):
    """Stretches of at most ``max_history`` places: every training item but a user's first is a target once.

    Training parts longer than ``max_history + 1`` are cut from the end.
    """

    def locate(self, samples: NDArray[np.int64], random: np.random.Generator) -> Located:
        """Where the given rows and their targets are; nothing is drawn."""
        return self._located(samples)

    def _located(self, samples: NDArray[np.int64]) -> Located:
        user = np.searchsorted(self.bounds, samples, side="right") - 1
        count = self.bounds[user + 1] - self.bounds[user]
        num_targets = self.sequences.train_length[user] - 1
        start, length = cut(num_targets, samples - self.bounds[user], count, self.max_history)
        row, place = places(length)
        return Located(user, start, length, row, start[row] + place + 1)

    def _rows_of(self, train_length: NDArray[np.int64]) -> NDArray[np.int64]:
        return -(-np.maximum(train_length - 1, 0) // self.max_history)

    def _possible_targets(self, samples: NDArray[np.int64]) -> tuple[Located, None]:
        return self._located(samples), None
