"""A row is a stretch of a training part with some of its items hidden, which are its targets (BERT4Rec)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.examples.base import Located, TrainingExamples
from missrec_pl.data.examples.stretches import cut, places
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.errors import ConfigError


class ClozeStretches(TrainingExamples):
    """Stretches of at most ``max_history + 1`` items, hidden at random.

    Training parts that are longer are cut from the end. A stretch of a single item, which would be hidden without
    a context, is left out.

    Args:
        sequences: see :class:`TrainingExamples`.
        catalogue: see there.
        max_history: longest history; a row has one place more.
        deduplicate: see there.
        fold_of_user: see there.
        mask_probability: probability of each place to be hidden. Where the draw hides none of a row, one of its
            places is, each with the same probability.
        last_share: share of rows that have their last place hidden alone, as evaluation does.

    Raises:
        ConfigError: a probability outside 0..1.
        DataError: there is no training row at all.
    """

    hides_targets = True

    def __init__(
        self,
        sequences: GlobalSequences,
        catalogue: Catalogue,
        max_history: int,
        deduplicate: bool,
        fold_of_user: NDArray[np.int64] | None = None,
        *,
        mask_probability: float = 0.2,
        last_share: float = 0.1,
    ) -> None:
        check_probabilities(mask_probability, last_share)
        self.mask_probability = mask_probability
        self.last_share = last_share
        super().__init__(sequences, catalogue, max_history, deduplicate, fold_of_user)

    def locate(self, samples: NDArray[np.int64], random: np.random.Generator) -> Located:
        """Where the given rows are, and which of their places are hidden now."""
        user, start, length = self._stretches(samples)
        row, place = places(length)
        hides_last_alone = random.random(len(user)) < self.last_share
        is_hidden = random.random(len(row)) < self.mask_probability
        lot = (random.random(len(user)) * length).astype(np.int64)
        hides_one = hides_last_alone | (np.bincount(row[is_hidden], minlength=len(user)) == 0)
        only = np.where(hides_last_alone, length - 1, lot)
        is_hidden = np.where(hides_one[row], place == only[row], is_hidden)
        return Located(user, start, length, row[is_hidden], (start[row] + place)[is_hidden])

    def _stretches(
        self, samples: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """User, start and length of the given rows."""
        user = np.searchsorted(self.bounds, samples, side="right") - 1
        count = self.bounds[user + 1] - self.bounds[user]
        total = self.sequences.train_length[user]
        return user, *cut(total, samples - self.bounds[user], count, self.max_history + 1)

    def _rows_of(self, train_length: NDArray[np.int64]) -> NDArray[np.int64]:
        size = self.max_history + 1
        return np.maximum(train_length + size - 2, 0) // size

    def _possible_targets(self, samples: NDArray[np.int64]) -> tuple[Located, NDArray[np.float64]]:
        """All places, and the probability of each to be hidden."""
        user, start, length = self._stretches(samples)
        row, place = places(length)
        missed = (1 - self.mask_probability) ** length  # by all of a row's draws
        weight = (1 - self.last_share) * (self.mask_probability + missed / length)[row]
        weight += self.last_share * (place == length[row] - 1)
        return Located(user, start, length, row, start[row] + place), weight


def check_probabilities(mask_probability: float, last_share: float) -> None:
    """Refuse what is no probability.

    Raises:
        ConfigError: a value outside 0..1.
    """
    for flag, value in (("mask_probability", mask_probability), ("last_share", last_share)):
        if not 0 <= value <= 1:
            raise ConfigError(f"data.{flag}={value}: must be a probability from 0 to 1.")
