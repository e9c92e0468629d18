"""The sequences of several domains under global user and item ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import EvaluationRows, Split

PAIR_WINDOW = 10
"""Largest gap of two items of a sequence that count as a pair. A training row carries as many future items."""


class GlobalSequences:
    """The sequences of all domains in one CSR structure under global user and item ids.

    Args:
        catalogue: gives the order of the domains and the global item ids.
        splits: one split per domain.
    """

    def __init__(self, catalogue: Catalogue, splits: Sequence[Split]) -> None:
        sequences = [domain.sequences for domain in catalogue.domains]
        # 4 bytes an interaction: these are the largest array of a run.
        kind = np.int32 if catalogue.num_items <= np.iinfo(np.int32).max else np.int64
        self.items = np.concatenate([s.items + catalogue.offsets[d].astype(kind) for d, s in enumerate(sequences)])
        self.lengths = np.concatenate([np.diff(s.offsets) for s in sequences])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])[:-1]
        users = [len(s.offsets) - 1 for s in sequences]
        self.domain = np.repeat(np.arange(len(users)), users)
        self.first_user = first_user = np.concatenate([[0], np.cumsum(users)])
        self.train_length = np.concatenate([split.train_length for split in splits])
        self.validation = _stack([split.validation for split in splits], first_user)
        self.test = _stack([split.test for split in splits], first_user)

    def stretches(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int32]:
        """The items of stretches of the flat sequences, one after the other, as global ids."""
        ends = np.cumsum(lengths)
        first = np.repeat(starts - (ends - lengths), lengths)
        return self.items[first + np.arange(len(first))].astype(np.int32)

    def training_parts(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """All users' training items, one user after the other, and where each user's part starts (and the end)."""
        offsets = np.concatenate([[0], np.cumsum(self.train_length)])
        return self.stretches(self.starts, self.train_length), offsets

    def windows(
        self, user: NDArray[np.int64], end: NDArray[np.int64], max_history: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Histories ``[B, L]`` before item ``end`` of each user, their lengths, and the items at ``end``."""
        length = np.minimum(end, max_history)
        offset = np.arange(length.max())
        index = (self.starts[user] + end - length)[:, None] + offset
        is_padding = offset >= length[:, None]
        history = np.where(is_padding, 0, self.items[np.where(is_padding, 0, index)])
        target = self.items[self.starts[user] + end]
        return history.astype(np.int64), length, target.astype(np.int64)

    def later(self, user: NDArray[np.int64], end: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        """``[B, width]`` items of each user's training part from item ``end`` on, right-padded with 0."""
        place = end[:, None] + np.arange(width)
        is_padding = place >= self.train_length[user][:, None]
        index = np.where(is_padding, 0, self.starts[user][:, None] + place)
        return np.where(is_padding, 0, self.items[index]).astype(np.int64)

    def histories(self, rows: EvaluationRows, max_history: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All histories ``[B, L]`` and targets ``[B]`` of evaluation rows, as global ids."""
        history, _, target = self.windows(rows.user, rows.target, max_history)
        return history, target


def _stack(rows: Sequence[EvaluationRows], first_user: NDArray[np.int64]) -> EvaluationRows:
    return EvaluationRows(
        np.concatenate([r.user + first_user[d] for d, r in enumerate(rows)]),
        np.concatenate([r.target for r in rows]),
    )
