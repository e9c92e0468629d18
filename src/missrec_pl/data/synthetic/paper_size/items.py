"""Items of large generated domains: rings of items, and features that are made when they are asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from missrec_pl.data.synthetic.paper_size.streams import (
    FEATURES,
    LAYOUT,
    SHARED,
    STREAM_ROWS,
    random_stream,
    streams_of,
)

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_RING, _HARMONICS, _CENTRE = 256, 8, 16
_NOISE = np.float32(0.3)


class Rings:
    """How a domain's items lie: item i (from 0) at ``place[i]``, the places of ring r from ``first[r]`` on.

    Args:
        seed: Same seed, same content.
        number: Which domain.
        num_items: Items of the domain.

    Attributes:
        first: Where each ring begins, and where the last one ends.
        ring: The ring of every place.
        item_at: The item (from 0) at every place.
        popularity: Ascending to 1: the share of users' choices that fall on a ring or on one before it.
    """

    def __init__(self, seed: int, number: int, num_items: int) -> None:
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

    @property
    def num_items(self) -> int:
        """Items of the domain."""
        return len(self.ring)

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

    Args:
        seed: Same seed, same content; the projection depends on it and on the modality alone.
        number: Which domain.
        modality: Name of the modality.
        rings: The domain's items.
        present: bool [N].
        width: Features of a row.
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

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and width."""
        return len(self._present), self._projection.shape[1]

    def __len__(self) -> int:
        return len(self._present)

    def __getitem__(self, rows: slice, /) -> Floats:
        start, stop, _ = rows.indices(len(self))
        out = np.zeros((stop - start, self.shape[1]), np.float32)
        for number, part in streams_of(start, stop):
            first = number * STREAM_ROWS
            out[first + part.start - start : first + part.stop - start] = self._stream(number)[part]
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
