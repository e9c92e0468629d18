"""Long sequences cut from the end into consecutive stretches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cut(
    total: NDArray[np.int64], number: NDArray[np.int64], count: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First item and length of stretches; all but the first of a sequence are ``size`` long.

    Args:
        total: ``[B]`` items of the sequence that a stretch is of.
        number: ``[B]`` which of its stretches, from 0 in order of time.
        count: ``[B]`` how many it has.
        size: items of a stretch, at most.
    """
    stop = total - size * (count - 1 - number)
    start = np.maximum(stop - size, 0)
    return start, stop - start


def places(length: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and place in it of all places of rows of the given lengths, one row after the other."""
    row = np.repeat(np.arange(len(length)), length)
    first = np.cumsum(length) - length
    return row, np.arange(len(row)) - first[row]
