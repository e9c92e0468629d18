"""Batches of the users that are evaluated."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.splits import EvaluationRows


class EvaluationHistories(Dataset[SequenceBatch]):
    """Validation or test users; items are global ids. Batches have times where the sequences have them.

    Args:
        sequences: the sequences of all domains.
        rows: the users and where their targets are.
        max_history: longest history; older items are left out.
    """

    def __init__(self, sequences: GlobalSequences, rows: EvaluationRows, max_history: int) -> None:
        self.sequences = sequences
        self.rows = rows
        self.max_history = max_history

    def __len__(self) -> int:
        return len(self.rows)

    def lengths(self) -> NDArray[np.int64]:
        """Number of items of each history."""
        return np.minimum(self.rows.target, self.max_history)

    def __getitem__(self, samples: NDArray[np.int64]) -> SequenceBatch:
        """The batch of the given row numbers."""
        user, end = self.rows.user[samples], self.rows.target[samples]
        history, length, target = self.sequences.windows(user, end, self.max_history)
        times = self.sequences.clock(user, end - length, length, end)
        return SequenceBatch(
            torch.from_numpy(history),
            torch.from_numpy(length),
            torch.from_numpy(target),
            torch.from_numpy(self.sequences.domain[user]),
            user=torch.from_numpy(user),
            times=None if times is None else torch.from_numpy(times),
        )
