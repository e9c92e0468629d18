"""What a baseline is, what it may learn from, and what it scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.scores import Scores
from missrec_pl.errors import DataError
from missrec_pl.fitting.sequence_pairs import LARGE_CATALOGUE

Settings: TypeAlias = Mapping[str, float]
"""A baseline's constants by name, as results.json shows them."""
Grid: TypeAlias = Sequence[Settings]
"""Constants to try, the default ones first."""
Chosen: TypeAlias = Mapping[str, Sequence[Settings]]
"""By the name of a baseline the constants chosen for it, one for each protocol."""


class LeftOutError(Exception):
    """Raised by `fit` where the domain is beyond what the baseline can do; the results show the message."""


@runtime_checkable
class Baseline(Protocol):
    """A recommender without gradient steps: fitted once, then scores every item for a block of histories.

    A class attribute ``is_sparse = True`` says that its scores never hold ``[B, N]`` numbers, so that blocks
    may be large.
    """

    @property
    def name(self) -> str:
        """The key under `baselines` in results.json."""

    def fit(self, data: "BaselineData") -> None:
        """Learn from the data, anew where that is other data.

        LeftOutError if the domain is too large or lacks what the baseline needs.
        """

    def scores(self, histories: Histories) -> Float[Tensor, "B N"] | Scores:
        """Score all items: finite numbers, column ``i - 1`` for item ``i``, from each row alone."""


@runtime_checkable
class TunableBaseline(Baseline, Protocol):
    """A baseline with constants that are chosen on the validation split, those of its `parts` first."""

    parts: "Sequence[TunableBaseline]" = ()

    def grid(self, chosen: Chosen) -> Grid:
        """Constants to try; ``chosen`` holds those of the parts."""

    def scores_with(self, histories: Histories, settings: Settings) -> Float[Tensor, "B N"] | Scores:
        """As `scores`, with these constants."""

    def scores(self, histories: Histories) -> Float[Tensor, "B N"] | Scores:
        """With the default constants."""
        return self.scores_with(histories, self.grid({})[0])


@runtime_checkable
class LearningBaseline(Baseline, Protocol):
    """A baseline that learns from the validation targets, after `fit`."""

    def learn(self, validation: HeldOut | None) -> None:
        """Learn; LeftOutError where there is nobody to learn from."""


@dataclass
class BaselineData:
    """One domain as baselines see it: training interactions and frozen features, no held-out targets.

    Attributes:
        train_items: ``[I]`` item ids ``1..N``: all users' training parts, one after the other, chronological.
        train_offsets: ``[U + 1]``: user u's part is ``train_items[train_offsets[u]:train_offsets[u + 1]]``.
        num_items: N.
        features: Modality -> ``[N + 1, F]`` float array or memory map, row 0 = padding; F may differ.
        present: Modality -> ``[N + 1]`` bool, True where the item has the modality.
        texts: Reads the items' texts ``[N + 1]``, empty where there is none.

    Raises:
        DataError: Offsets, item ids or array lengths do not fit together.
    """

    train_items: Int[np.ndarray, " _"]
    train_offsets: Int[np.ndarray, " _"]
    num_items: int
    features: dict[str, Float[np.ndarray, "_ _"]] = field(default_factory=dict)
    present: dict[str, Bool[np.ndarray, " _"]] = field(default_factory=dict)
    texts: Callable[[], Sequence[str]] = tuple

    def __post_init__(self) -> None:
        offsets, items = self.train_offsets, self.train_items
        is_cut = len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(items) or (np.diff(offsets) < 0).any()
        if is_cut:
            raise DataError(f"train_offsets must rise from 0 to the {len(items)} training items")
        if len(items) and (items.min() < 1 or items.max() > self.num_items):
            raise DataError(f"training items span {items.min()}..{items.max()}, expected 1..{self.num_items}")
        if self.features.keys() != self.present.keys():
            raise DataError(f"features are given for {sorted(self.features)}, presence for {sorted(self.present)}")
        for modality, array in self.features.items():
            if len(array) != self.num_items + 1 or len(self.present[modality]) != self.num_items + 1:
                raise DataError(
                    f"modality {modality!r} has {len(array)} feature rows and {len(self.present[modality])} "
                    f"presence flags, expected {self.num_items + 1} (N items and the padding row 0)"
                )

    @property
    def modalities(self) -> list[str]:
        """Modalities that at least one item has, in the order of `features`."""
        return [modality for modality in self.features if self.present[modality][1:].any()]

    @property
    def is_large(self) -> bool:
        """Whether the catalogue is beyond `LARGE_CATALOGUE`."""
        return self.num_items > LARGE_CATALOGUE

    def counts(self) -> Int[np.ndarray, " N"]:
        """Training interactions of items ``1..N``."""
        return np.bincount(self.train_items, minlength=self.num_items + 1)[1:]
