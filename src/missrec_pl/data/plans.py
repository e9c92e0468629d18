"""What depends on a batch's values and decides shapes, found by the loader: the step then waits for nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from missrec_pl.data.batch import SequenceBatch

Planner = Callable[[SequenceBatch], Mapping[str, NDArray[Any]]]
"""A plain function of a batch on the CPU, run in the loader's processes. It gives arrays by name, which
``batch.plans`` then has on the batch's device."""


def planned(batch: SequenceBatch, planners: Sequence[Planner]) -> SequenceBatch:
    """The batch with what all planners find."""
    found = {name: torch.from_numpy(array) for planner in planners for name, array in planner(batch).items()}
    return replace(batch, plans={**batch.plans, **found})


def padded_size(count: int) -> int:
    """The next of few sizes, at most a quarter above: 4, 5, 6 or 7 times a power of two."""
    step = 1 << max(count.bit_length() - 3, 0)
    return -(-count // step) * step
