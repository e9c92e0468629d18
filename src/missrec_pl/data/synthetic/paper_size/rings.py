"""Items of large generated domains in rings, their features, made when asked for, and users who walk along rings.

What is random about 4,096 consecutive rows comes from one random stream of their own, so the content does not
depend on the blocks in which it is made; a block takes the streams that it touches.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from missrec_pl.data.domain.files import UserBlock
from missrec_pl.data.sequences import Sequences

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

STREAM_ROWS = 4096
SHARED, LAYOUT, PRESENCE, FEATURES, LENGTHS, WALKS = range(6)
"""What the streams of a seed and domain are for."""
_RING, _HARMONICS, _CENTRE = 256, 8, 16
_NOISE = np.float32(0.3)

SHORTEST, LONGEST = 5, 50
_FOLLOWED = 3  # rings of a user
_TURN, _ASTRAY = 0.15, 0.1  # probabilities of turning to another ring, and of any item at all
_LONGEST_STEP = 3
_DAY_S = 24 * 3600


def random_stream(*key: int) -> np.random.Generator:
    """The random stream of the given numbers."""
    return np.random.default_rng(key)


def streams_of(start: int, stop: int) -> Iterator[tuple[int, slice]]:
    """The streams that rows ``start`` to ``stop`` touch, and which of their own rows those are."""
    for number in range(start // STREAM_ROWS, -(-stop // STREAM_ROWS)):
        first = number * STREAM_ROWS
        yield number, slice(max(start - first, 0), min(stop - first, STREAM_ROWS))


class Rings:
    """How a domain's items lie: item i (from 0) at ``place[i]``, the places of ring r from ``first[r]`` on.

    Attributes:
        first: Where each ring begins, and where the last one ends.
        ring: The ring of every place.
        item_at: The item (from 0) at every place.
        popularity: Ascending to 1: the share of users' choices that fall on a ring or on one before it.
    """

    def __init__(self, seed: int, number: int, num_items: int) -> None:
        self.num_items = num_items
        random = random_stream(seed, number, LAYOUT)
        count = max(2, num_items // _RING)
        self.first: Integers = np.linspace(0, num_items, count + 1).astype(np.int64)
        self.ring = np.repeat(np.arange(count), np.diff(self.first))
        self.item_at: Integers = random.permutation(num_items)
        self._place = np.empty_like(self.item_at)
        self._place[self.item_at] = np.arange(num_items)
        self._centres = random.standard_normal((count, _CENTRE), np.float32)
        weights = (1.0 + np.arange(count)) ** -0.7
        self.popularity = np.cumsum(weights) / weights.sum()

    def latents(self, items: Integers) -> Floats:
        """Where items (from 0) lie: their ring's centre, and waves along the ring, float32 [., 32]."""
        place = self._place[items]
        ring = self.ring[place]
        angle = 2 * np.pi * (place - self.first[ring]) / (self.first[ring + 1] - self.first[ring])
        waves = np.multiply.outer(angle, np.arange(1, _HARMONICS + 1))
        return np.concatenate([self._centres[ring], np.sin(waves), np.cos(waves)], axis=1).astype(np.float32)

    def texts(self) -> pa.StringArray:
        """A text for every item that says where it is."""
        ring = self.ring[self._place]
        words = [numbered("ring ", ring), numbered("place ", self._place - self.first[ring])]
        return pc.binary_join_element_wise(*words, " ")


class LazyFeatures:
    """Features [N, width] that are made when they are asked for: projected latents and noise, zeros where absent.

    The projection depends on the seed and the modality alone; ``present`` is bool [N].
    """

    def __init__(
        self, seed: int, number: int, modality: str, rings: Rings, present: npt.NDArray[np.bool_], width: int
    ) -> None:
        self._key = (seed, number, FEATURES, *modality.encode())
        self._rings = rings
        self._present = present
        latent = 2 * _HARMONICS + _CENTRE
        shared = random_stream(seed, SHARED, SHARED, *modality.encode())
        self._projection = shared.standard_normal((latent, width), np.float32) / np.float32(latent**0.5)
        self.shape = (len(present), width)

    def __len__(self) -> int:
        return len(self._present)

    def __getitem__(self, rows: slice, /) -> Floats:
        start, stop, _ = rows.indices(len(self))
        out = np.zeros((stop - start, self.shape[1]), np.float32)
        for number, part in streams_of(start, stop):
            first = number * STREAM_ROWS - start
            out[first + part.start : first + part.stop] = self._stream(number)[part]
        return out

    def _stream(self, number: int) -> Floats:
        start = number * STREAM_ROWS
        here = self._present[start : start + STREAM_ROWS]
        out = np.zeros((len(here), self.shape[1]), np.float32)
        noise = random_stream(*self._key, number).standard_normal((int(here.sum()), self.shape[1]), np.float32)
        noise *= _NOISE
        noise += self._rings.latents(start + np.flatnonzero(here)) @ self._projection
        out[here] = noise
        return out


def numbered(prefix: str, numbers: Integers) -> pa.StringArray:
    """``prefix`` followed by each number."""
    return pc.binary_join_element_wise(prefix, pc.cast(pa.array(numbers), pa.string()), "")


def lengths_of(users: int, interactions: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Lengths of all users: a power law between 5 and 50, of exactly this sum; ValueError if there is none."""
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


def user_blocks(
    seed: int, number: int, name: str, rings: Rings, users: int, interactions: int, block_users: int
) -> Iterator[UserBlock]:
    """Sequences of all users of domain ``number``, so many users at a time; ``interactions`` in all.

    A user follows three rings, popular ones more often, and goes along the present one in steps of one to three. A
    step in seven turns to another of the three, a step in ten leads to any item.
    """
    lengths = lengths_of(users, interactions, random_stream(seed, number, LENGTHS))
    for start in range(0, users, block_users):
        stop = min(start + block_users, users)
        parts = []
        for stream, rows in streams_of(start, stop):
            here = lengths[stream * STREAM_ROWS : (stream + 1) * STREAM_ROWS]
            parts.append(_stream(random_stream(seed, number, WALKS, stream), rings, here, rows))
        items, times = (np.concatenate(column) for column in zip(*parts, strict=True))
        offsets = np.concatenate([[0], np.cumsum(lengths[start:stop], dtype=np.int64)])
        yield UserBlock(Sequences(items, offsets, times), numbered(f"{name}-", np.arange(start, stop)))


def _stream(
    random: np.random.Generator, rings: Rings, lengths: npt.NDArray[np.uint8], rows: slice
) -> tuple[npt.NDArray[np.int32], Integers]:
    """Items and timestamps of some users of a stream, flat."""
    items = _walks(random, rings, len(lengths))
    gaps = random.integers(0, 60, items.shape)
    gaps[:, 0] = random.integers(0, 10 * 365, len(lengths))
    times = 10 * 365 * _DAY_S + np.cumsum(gaps, axis=1) * _DAY_S
    exists = np.arange(LONGEST) < lengths[rows, None]
    return items[rows][exists].astype(np.int32), times[rows][exists]


def _walks(random: np.random.Generator, rings: Rings, count: int) -> Integers:
    """Walks [count, 50] of items from 1."""
    steps = (count, LONGEST)
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
