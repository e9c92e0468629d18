"""The kinds of training rows: prefixes, stretches with all next items, and stretches with items hidden."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.examples.base import Located, TrainingExamples
from missrec_pl.data.sequences import Ints
from missrec_pl.errors import ConfigError


class TrainingPrefixes(TrainingExamples):
    """Every prefix of every training part, with one target: the item that follows."""

    has_many_targets = False
    step = 1

    def possible_targets(self, samples: Ints) -> tuple[Located, None]:
        """The rows, each with its only target."""
        user, number, _ = self.numbered(samples)
        end = number + 1
        length = np.minimum(end, self.max_history)
        return Located(user, end - length, length, np.arange(len(user)), end), None


class ShiftedStretches(TrainingExamples):
    """Stretches of at most ``max_history`` places: every training item but a user's first is a target once.

    The item after each place is its target. Training parts longer than ``max_history + 1`` are cut from the end.
    """

    @property
    def step(self) -> int:
        """Targets of a row, at most."""
        return self.max_history

    def possible_targets(self, samples: Ints) -> tuple[Located, None]:
        """The rows with the item after each place."""
        user, start, length = self.stretches(samples)
        row, place = places(length)
        return Located(user, start, length, row, start[row] + place + 1), None


@dataclass(eq=False, repr=False)
class ClozeStretches(TrainingExamples):
    """Stretches of at most ``max_history + 1`` items, hidden at random; the hidden ones are targets (BERT4Rec).

    Training parts that are longer are cut from the end. A stretch of a single item, which would be hidden without
    a context, is left out. The other attributes are those of :class:`TrainingExamples`.

    Attributes:
        mask_probability: probability of each place to be hidden. Where the draw hides none of a row, one of its
            places is, each with the same probability.
        last_share: share of rows that have their last place hidden alone, as evaluation does.

    Raises:
        ConfigError: a probability outside 0..1.
        DataError: there is no training row at all.
    """

    mask_probability: float = field(default=0.2, kw_only=True)
    last_share: float = field(default=0.1, kw_only=True)

    hides_targets = True

    def __post_init__(self) -> None:
        check_probabilities(self.mask_probability, self.last_share)
        super().__post_init__()

    @property
    def step(self) -> int:
        """Places of a row, at most."""
        return self.max_history + 1

    def locate(self, samples: Ints, random: np.random.Generator) -> Located:
        """Where the given rows are, and which of their places are hidden now."""
        every = self._every_place(samples)
        length, row = every.length, every.row
        place = every.target - every.start[row]
        hides_last_alone = random.random(len(length)) < self.last_share
        is_hidden = random.random(len(row)) < self.mask_probability
        lot = (random.random(len(length)) * length).astype(np.int64)
        hides_one = hides_last_alone | (np.bincount(row[is_hidden], minlength=len(length)) == 0)
        only = np.where(hides_last_alone, length - 1, lot)
        is_hidden = np.where(hides_one[row], place == only[row], is_hidden)
        return replace(every, row=row[is_hidden], target=every.target[is_hidden])

    def possible_targets(self, samples: Ints) -> tuple[Located, NDArray[np.float64]]:
        """The rows with all their places, and the probability of each to be hidden."""
        every = self._every_place(samples)
        length, row = every.length, every.row
        missed = (1 - self.mask_probability) ** length  # by all of a row's draws
        weight = (1 - self.last_share) * (self.mask_probability + missed / length)[row]
        weight += self.last_share * (every.target - every.start[row] == length[row] - 1)
        return every, weight

    def _every_place(self, samples: Ints) -> Located:
        user, start, length = self.stretches(samples)
        row, place = places(length)
        return Located(user, start, length, row, start[row] + place)


def places(length: Ints) -> tuple[Ints, Ints]:
    """Row and place in it of all places of rows of the given lengths, one row after the other."""
    row = np.repeat(np.arange(len(length)), length)
    first = np.cumsum(length) - length
    return row, np.arange(len(row)) - first[row]


def check_probabilities(mask_probability: float, last_share: float) -> None:
    """Raise ConfigError for a value outside 0..1."""
    for flag, value in (("mask_probability", mask_probability), ("last_share", last_share)):
        if not 0 <= value <= 1:
            raise ConfigError(f"data.{flag}={value}: must be a probability from 0 to 1.")
