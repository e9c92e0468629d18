"""Users' sequences in compressed-row form: one flat array of items and where each user's part starts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from missrec_pl.errors import DataError

Ints: TypeAlias = npt.NDArray[np.int64]


def offsets_of(lengths: npt.ArrayLike) -> Ints:
    """Where each of consecutive parts of these lengths starts, and where the last one ends: int64 [parts + 1]."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


@dataclass(frozen=True)
class Sequences:
    """User u's chronological items are ``items[offsets[u]:offsets[u + 1]]``.

    Attributes:
        items: int32 [total], values 1..N.
        offsets: int64 [U+1], ascending from 0 to total.
        timestamps: int64 [total] in seconds since 1970, or None if only the order is known.
    """

    items: npt.NDArray[np.int32]
    offsets: Ints
    timestamps: Ints | None = None

    @classmethod
    def from_lists(cls, lists: list[list[int]], timestamps: list[list[int]] | None = None) -> "Sequences":
        """Builds the arrays from one list of items (and one of timestamps) for each user."""
        offsets = offsets_of([len(one) for one in lists])
        flat = np.fromiter((item for one in lists for item in one), np.int32, int(offsets[-1]))
        times = None
        if timestamps is not None:
            times = np.fromiter((time for one in timestamps for time in one), np.int64, int(offsets[-1]))
        return cls(flat, offsets, times)

    @property
    def num_users(self) -> int:
        """U."""
        return len(self.offsets) - 1

    def lengths(self) -> Ints:
        """Number of interactions of every user, int64 [U]."""
        return np.diff(self.offsets)

    def of(self, user: int) -> npt.NDArray[np.int32]:
        """The chronological items of one user."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def check(self, num_items: int, where: Path | str) -> None:
        """Checks ids, offsets and the order of the timestamps.

        Args:
            num_items: N; items have to be 1..N.
            where: The file, for the message.

        Raises:
            DataError: No users, a user without items, an id outside the catalogue, time running backwards.
        """
        lengths = self.lengths()
        if len(lengths) == 0:
            raise DataError(f"{where}: no users; the source has to hold at least one sequence")
        if self.offsets[0] != 0 or self.offsets[-1] != len(self.items):
            raise DataError(
                f"{where}: offsets {self.offsets[0]}..{self.offsets[-1]} do not span 0..{len(self.items)}"
            )
        if (lengths <= 0).any():
            raise DataError(
                f"{where}: user {int(np.argmax(lengths <= 0))} has no interactions; leave such users out"
            )
        outside = (self.items < 1) | (self.items > num_items)
        if outside.any():
            at = int(np.argmax(outside))
            user = int(np.searchsorted(self.offsets, at, side="right")) - 1
            raise DataError(
                f"{where}: user {user} has item {self.items[at]}, the catalogue has items 1..{num_items}"
            )
        if self.timestamps is None:
            return
        if len(self.timestamps) != len(self.items):
            raise DataError(f"{where}: {len(self.items)} items need as many timestamps")
        backwards = self.timestamps[1:] < self.timestamps[:-1]
        backwards[self.offsets[1:-1] - 1] = False
        if backwards.any():
            user = int(np.searchsorted(self.offsets, int(np.argmax(backwards)), side="right")) - 1
            raise DataError(f"{where}: timestamps of user {user} run backwards; sort the interactions by time")


def lists_of(table: pa.Table, column: str, kind: pa.DataType, where: Path) -> tuple[npt.NDArray[Any], Ints]:
    """Flat values and offsets [rows+1] of a list column.

    Raises:
        DataError: The column is missing, has nulls or holds another type.
    """
    if column not in table.column_names:
        raise DataError(f"{where} lacks the column {column!r}; prepare the domain again")
    values = table[column]
    if values.type != pa.list_(kind):
        raise DataError(
            f"{where}: column {column!r} is {values.type}, not a list of {kind}; prepare the domain again"
        )
    flat = pa.chunked_array([chunk.flatten() for chunk in values.chunks], type=kind)
    if values.null_count or flat.null_count:
        raise DataError(f"{where}: column {column!r} has empty entries; prepare the domain again")
    lengths = [chunk.value_lengths().to_numpy() for chunk in values.chunks]
    return flat.to_numpy(), offsets_of(np.concatenate([np.empty(0, np.int64), *lengths]))
