"""Random content in rows that does not depend on the blocks in which it is made.

What is random about 4,096 consecutive rows comes from one random stream of their own; a block takes the streams
that it touches.
"""

from collections.abc import Iterator

import numpy as np

STREAM_ROWS = 4096
SHARED, LAYOUT, PRESENCE, FEATURES, LENGTHS, WALKS = range(6)
"""What the streams of a seed and domain are for."""


def random_stream(*key: int) -> np.random.Generator:
    """The random stream of the given numbers."""
    return np.random.default_rng(key)


def streams_of(start: int, stop: int) -> Iterator[tuple[int, slice]]:
    """The streams that rows ``start`` to ``stop`` touch, and which of their own rows those are."""
    for number in range(start // STREAM_ROWS, -(-stop // STREAM_ROWS)):
        first = number * STREAM_ROWS
        yield number, slice(max(start - first, 0), min(stop - first, STREAM_ROWS))
