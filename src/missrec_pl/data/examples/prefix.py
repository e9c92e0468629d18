"""A row is a prefix of a training part, its target the item that follows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.examples.base import Located, TrainingExamples


class TrainingPrefixes(TrainingExamples):
    """Every prefix of every training part, with one target."""

    has_many_targets = False

    def __getitem__(self, samples: NDArray[np.int64]) -> SequenceBatch:
        """The batch of the given rows."""
        return self.build(self._located(samples))[0]

    def locate(self, samples: NDArray[np.int64], random: np.random.Generator) -> Located:
        """Where the given rows and their targets are; nothing is drawn."""
        return self._located(samples)

    def targets(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Global ids of the targets of the given rows."""
        return self.targets_of(self._located(samples))

    def _located(self, samples: NDArray[np.int64]) -> Located:
        user = np.searchsorted(self.bounds, samples, side="right") - 1
        end = samples - self.bounds[user] + 1
        length = np.minimum(end, self.max_history)
        return Located(user, end - length, length, np.arange(len(user)), end)

    def _rows_of(self, train_length: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.maximum(train_length - 1, 0)

    def _possible_targets(self, samples: NDArray[np.int64]) -> tuple[Located, None]:
        return self._located(samples), None
