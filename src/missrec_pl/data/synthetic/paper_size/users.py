"""Users of large generated domains: how long their sequences are, and walks over rings of items."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.files import UserBlock
from missrec_pl.data.sequences import Sequences
from missrec_pl.data.synthetic.paper_size.items import Integers, Rings, numbered
from missrec_pl.data.synthetic.paper_size.streams import LENGTHS, STREAM_ROWS, WALKS, random_stream, streams_of

SHORTEST, LONGEST = 5, 50
_FOLLOWED = 3  # rings of a user
_TURN, _ASTRAY = 0.15, 0.1  # probabilities of turning to another ring, and of any item at all
_LONGEST_STEP = 3
_DAY_S = 24 * 3600


def lengths_of(users: int, interactions: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Lengths of all users: a power law between 5 and 50, of the wanted sum to the last interaction.

    Raises:
        ValueError: No such lengths have this sum.
    """
    if not SHORTEST * users <= interactions <= LONGEST * users:
        raise ValueError(f"{users} users cannot have {interactions} interactions")
    values = np.arange(SHORTEST, LONGEST + 1)
    low, high = -50.0, 50.0
    for _ in range(60):  # bisection: the mean grows with the exponent
        exponent = (low + high) / 2
        shares = (values / SHORTEST) ** exponent
        low, high = (exponent, high) if shares @ values < interactions / users * shares.sum() else (low, exponent)
    bounds = np.rint(np.cumsum(shares) / shares.sum() * users).astype(np.int64)
    lengths = np.repeat(values.astype(np.uint8), np.diff(bounds, prepend=0))
    while missing := interactions - int(lengths.sum(dtype=np.int64)):
        step = np.sign(missing)
        able = np.flatnonzero(lengths < LONGEST if step > 0 else lengths > SHORTEST)[: abs(missing)]
        lengths[able] = (lengths[able] + step).astype(np.uint8)
    return random.permutation(lengths)


class Walks:
    """Sequences of all users of a domain, made block by block.

    A user follows three rings, popular ones more often, and goes along the present one in steps of one to three;
    a step in seven turns to another of the three, a step in ten leads astray to any item.

    Args:
        seed: Same seed, same content.
        number: Which domain.
        name: Prefix of the users' ids.
        rings: The domain's items.
        users: Number of users.
        interactions: Sum of their lengths.
    """

    def __init__(self, seed: int, number: int, name: str, rings: Rings, users: int, interactions: int) -> None:
        self._seed, self._number, self._name, self._rings = seed, number, name, rings
        self._lengths = lengths_of(users, interactions, random_stream(seed, number, LENGTHS))

    def blocks(self, block_users: int) -> Iterator[UserBlock]:
        """All users, so many at a time."""
        for start in range(0, len(self._lengths), block_users):
            stop = min(start + block_users, len(self._lengths))
            parts = [self._stream(number, rows) for number, rows in streams_of(start, stop)]
            items, times = (np.concatenate(column) for column in zip(*parts, strict=True))
            offsets = np.concatenate([[0], np.cumsum(self._lengths[start:stop], dtype=np.int64)])
            ids = numbered(f"{self._name}-", np.arange(start, stop))
            yield UserBlock(Sequences(items, offsets, times), ids)

    def _stream(self, number: int, rows: slice) -> tuple[npt.NDArray[np.int32], Integers]:
        """Items and timestamps of some users of a stream, flat."""
        first = number * STREAM_ROWS
        lengths = self._lengths[first : first + STREAM_ROWS]
        random = random_stream(self._seed, self._number, WALKS, number)
        items = self._items(random, len(lengths))
        gaps = random.integers(0, 60, items.shape)
        gaps[:, 0] = random.integers(0, 10 * 365, len(lengths))
        times = 10 * 365 * _DAY_S + np.cumsum(gaps, axis=1) * _DAY_S
        exists = np.arange(LONGEST) < lengths[rows, None]
        return items[rows][exists].astype(np.int32), times[rows][exists]

    def _items(self, random: np.random.Generator, count: int) -> Integers:
        """Walks [count, 50] of items from 1."""
        rings, steps = self._rings, (count, LONGEST)
        followed = np.searchsorted(rings.popularity, random.random((count, _FOLLOWED)))
        origin = random.random((count, _FOLLOWED))
        turns = random.random(steps) < _TURN
        turns[:, 0] = True
        last_turn = np.maximum.accumulate(np.where(turns, np.arange(LONGEST), 0), axis=1)
        choice = np.take_along_axis(random.integers(_FOLLOWED, size=steps), last_turn, axis=1)
        ring = np.take_along_axis(followed, choice, axis=1)
        size = rings.first[ring + 1] - rings.first[ring]
        start = (np.take_along_axis(origin, choice, axis=1) * size).astype(np.int64)
        way = np.cumsum(random.integers(1, _LONGEST_STEP + 1, size=steps), axis=1)
        items = rings.item_at[rings.first[ring] + (start + way) % size]
        astray = random.random(steps) < _ASTRAY
        return np.where(astray, random.integers(rings.num_items, size=steps), items) + 1
