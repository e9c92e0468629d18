"""What reaches the network in one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable, TensorFields


@dataclass(frozen=True)
class SequenceBatch(TensorFields):
    """Histories and targets: ``B`` rows with ``R`` targets.

    Attributes:
        history: ``[B, L]`` rows of ``items``, chronological, right-padded with 0 to the batch's longest.
        length: ``[B]`` number of places of each history.
        target: ``[R]`` rows of ``items``.
        domain: ``[B]`` index of each row's domain.
        items: the item table; None means the whole catalogue, whose rows are the global ids.
        user: ``[B]`` global user numbers of an evaluation batch; None in training.
        row: ``[B]`` which row of the evaluated split each is; None in training.
        future: ``[R, W]`` global ids of what the user's training part holds from the target on, right-padded
            with 0; None in evaluation.
        candidates: what the targets stand among; None leaves it to the item table.
        fold: the fold of users that all rows of a training batch are of; None where users have no folds.
        place: ``[R]`` flat positions ``b * L + p`` of the targets among ``[B, L]``, rising; the state at a place
            predicts its target. None: a row has one target, at its last place (``R = B``).
        is_masked: ``[B, L]`` True where a place's item is hidden: its history is 0, and ``length`` counts it. None
            where nothing is hidden.
        times: ``[B, L + 1]`` int64, seconds since 1970 of each place; place ``length`` has the time of the request
            (in training: of the next item, or of the last one where the training part ends), what follows is 0.
            None unless the data was asked for it.
        plans: what planners have found, by name; see :mod:`missrec_pl.data.plans`.
    """

    history: Tensor
    length: Tensor
    target: Tensor
    domain: Tensor
    items: ItemTable | None = None
    user: Tensor | None = None
    row: Tensor | None = None
    future: Tensor | None = None
    candidates: Candidates | None = None
    fold: int | None = None
    place: Tensor | None = None
    is_masked: Tensor | None = None
    times: Tensor | None = None
    plans: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.history)

    def with_items(self, items: ItemTable) -> SequenceBatch:
        """The batch with its item table replaced."""
        return replace(self, items=items)
