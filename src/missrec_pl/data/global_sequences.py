"""The sequences of several domains under global user and item ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.sequences import Ints, offsets_of
from missrec_pl.data.splits import EvaluationRows, Split
from missrec_pl.errors import DataError

PAIR_WINDOW = 10
"""Largest gap of two items of a sequence that count as a pair. A training row carries as many future items."""


class GlobalSequences:
    """The sequences of all domains in one CSR structure under global user and item ids.

    Args:
        catalogue: gives the order of the domains and the global item ids.
        splits: one split per domain.

    Attributes:
        times: int64 seconds since 1970 of every interaction; None until :meth:`read_times`.
    """

    def __init__(self, catalogue: Catalogue, splits: Sequence[Split]) -> None:
        sequences = [domain.sequences for domain in catalogue.domains]
        # 4 bytes an interaction: these are the largest array of a run.
        kind = np.int32 if catalogue.num_items <= np.iinfo(np.int32).max else np.int64
        self.items = np.concatenate([s.items + catalogue.offsets[d].astype(kind) for d, s in enumerate(sequences)])
        self.lengths = np.concatenate([np.diff(s.offsets) for s in sequences])
        self.starts = offsets_of(self.lengths)[:-1]
        users = [len(s.offsets) - 1 for s in sequences]
        self.domain = np.repeat(np.arange(len(users)), users)
        self.first_user = first_user = offsets_of(users)
        self.train_length = np.concatenate([split.train_length for split in splits])
        self.validation = _stack([split.validation for split in splits], first_user)
        self.test = _stack([split.test for split in splits], first_user)
        self.times: Ints | None = None

    def stretches(self, starts: Ints, lengths: Ints) -> NDArray[np.int32]:
        """The items of stretches of the flat sequences, one after the other, as global ids."""
        ends = np.cumsum(lengths)
        first = np.repeat(starts - (ends - lengths), lengths)
        return self.items[first + np.arange(len(first))].astype(np.int32)

    def everybody(self) -> EvaluationRows:
        """All users with items, and the place behind the newest one."""
        users = np.flatnonzero(self.lengths)
        return EvaluationRows(users, self.lengths[users])

    def whole(self, user: Ints) -> tuple[Ints, NDArray[np.int32]]:
        """The row of ``user`` that each item of their whole sequences is of, and the items, user by user."""
        lengths = self.lengths[user]
        return np.repeat(np.arange(len(user)), lengths), self.stretches(self.starts[user], lengths)

    def training_parts(self) -> tuple[NDArray[np.int32], Ints]:
        """All users' training items, one user after the other, and where each user's part starts (and the end)."""
        return self.stretches(self.starts, self.train_length), offsets_of(self.train_length)

    def read_times(self, catalogue: Catalogue) -> None:
        """Read the time of every interaction, which :meth:`clock` then has.

        Raises:
            DataError: a domain has no timestamps.
        """
        if self.times is not None:
            return
        times = []
        for domain in catalogue.domains:
            if domain.sequences.timestamps is None:
                raise DataError(
                    f"domain {domain.name} has no timestamps, which this run reads: prepare it from a source that "
                    "has them, or choose a model that does not read times."
                )
            times.append(domain.sequences.timestamps)
            domain.forget_sequences()
        self.times = np.concatenate(times).astype(np.int64, copy=False)

    def at(self, user: Ints, position: Ints) -> Ints:
        """``[R]`` items that users have at positions of their sequences."""
        items: Ints = self.items[self.starts[user] + position].astype(np.int64)
        return items

    def spans(self, user: Ints, start: Ints, length: Ints, width: int | None = None) -> Ints:
        """``[B, L]`` items of users' sequences from ``start`` on, ``length`` of them, right-padded with 0.

        ``L`` is the width, or the greatest length.
        """
        offset = np.arange(length.max() if width is None else width)
        index = (self.starts[user] + start)[:, None] + offset
        is_padding = offset >= length[:, None]
        return np.where(is_padding, 0, self.items[np.where(is_padding, 0, index)]).astype(np.int64)

    def windows(self, user: Ints, end: Ints, max_history: int) -> tuple[Ints, Ints, Ints]:
        """Histories ``[B, L]`` before item ``end`` of each user, their lengths, and the items at ``end``."""
        length = np.minimum(end, max_history)
        return self.spans(user, end - length, length), length, self.at(user, end)

    def future(self, user: Ints, end: Ints, width: int) -> Ints:
        """``[R, width]`` items of each user's training part from item ``end`` on, right-padded with 0."""
        return self.spans(user, end, np.minimum(self.train_length[user] - end, width), width)

    def clock(self, user: Ints, start: Ints, length: Ints, request: Ints) -> Ints | None:
        """``[B, L + 1]`` times of the items of :meth:`spans`, then of item ``request``; None where unread."""
        if self.times is None:
            return None
        offset = np.arange(length.max() + 1)
        position = np.where(offset < length[:, None], start[:, None] + offset, request[:, None])
        times = self.times[self.starts[user][:, None] + position]
        return np.where(offset > length[:, None], 0, times)


def _stack(rows: Sequence[EvaluationRows], first_user: Ints) -> EvaluationRows:
    return EvaluationRows(
        np.concatenate([r.user + first_user[d] for d, r in enumerate(rows)]),
        np.concatenate([r.target for r in rows]),
    )
