"""Batches, and the data sets that build them from (user, end) indices without materialising prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from missrec_pl.data.catalogue import Catalogue, ItemTable
from missrec_pl.data.splits import EvaluationRows, Split
from missrec_pl.errors import DataError


@dataclass(frozen=True)
class SequenceBatch:
    """Histories and targets.

    Attributes:
        history: ``[B, L]`` rows of ``items``, chronological, right-padded with 0 to the batch's longest.
        length: ``[B]`` number of items of each history.
        target: ``[B]`` rows of ``items``.
        domain: ``[B]`` index of each row's domain.
        items: the item table; None means the whole catalogue, whose rows are the global ids.
        user: ``[B]`` global user numbers of an evaluation batch; None in training.
    """

    history: Tensor
    length: Tensor
    target: Tensor
    domain: Tensor
    items: ItemTable | None = None
    user: Tensor | None = None

    def __len__(self) -> int:
        return len(self.history)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SequenceBatch:
        """The batch on another device."""
        return SequenceBatch(
            self.history.to(device, non_blocking=non_blocking),
            self.length.to(device, non_blocking=non_blocking),
            self.target.to(device, non_blocking=non_blocking),
            self.domain.to(device, non_blocking=non_blocking),
            None if self.items is None else self.items.to(device, non_blocking),
            None if self.user is None else self.user.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> SequenceBatch:
        """The batch in page-locked memory."""
        return SequenceBatch(
            self.history.pin_memory(),
            self.length.pin_memory(),
            self.target.pin_memory(),
            self.domain.pin_memory(),
            None if self.items is None else self.items.pin_memory(),
            None if self.user is None else self.user.pin_memory(),
        )

    def with_items(self, items: ItemTable) -> SequenceBatch:
        """The batch with its item table replaced."""
        return replace(self, items=items)


class GlobalSequences:
    """The sequences of all domains in one CSR structure under global user and item ids.

    Args:
        catalogue: gives the order of the domains and the global item ids.
        splits: one split per domain.
    """

    def __init__(self, catalogue: Catalogue, splits: Sequence[Split]) -> None:
        sequences = [domain.sequences for domain in catalogue.domains]
        self.items = np.concatenate(
            [s.items.astype(np.int64) + catalogue.offsets[d] for d, s in enumerate(sequences)]
        )
        self.lengths = np.concatenate([np.diff(s.offsets) for s in sequences])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)])[:-1]
        users = [len(s.offsets) - 1 for s in sequences]
        self.domain = np.repeat(np.arange(len(users)), users)
        self.first_user = first_user = np.concatenate([[0], np.cumsum(users)])
        self.train_length = np.concatenate([split.train_length for split in splits])
        self.validation = _stack([split.validation for split in splits], first_user)
        self.test = _stack([split.test for split in splits], first_user)

    def windows(
        self, user: NDArray[np.int64], end: NDArray[np.int64], max_history: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Histories ``[B, L]`` before item ``end`` of each user, their lengths, and the items at ``end``."""
        length = np.minimum(end, max_history)
        offset = np.arange(length.max())
        index = (self.starts[user] + end - length)[:, None] + offset
        is_padding = offset >= length[:, None]
        history = np.where(is_padding, 0, self.items[np.where(is_padding, 0, index)])
        return history, length, self.items[self.starts[user] + end]

    def histories(self, rows: EvaluationRows, max_history: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All histories ``[B, L]`` and targets ``[B]`` of evaluation rows, as global ids."""
        history, _, target = self.windows(rows.user, rows.target, max_history)
        return history, target


class TrainingPrefixes(Dataset[SequenceBatch]):
    """Every prefix of every training part; sample ``s`` is found by its (user, end), never stored.

    Args:
        sequences: the sequences of all domains.
        catalogue: the items.
        max_history: longest history; older items are left out.
        deduplicate: True gives each batch a table of its distinct items, False the whole catalogue.

    Raises:
        DataError: there is no training sample at all.
    """

    def __init__(
        self, sequences: GlobalSequences, catalogue: Catalogue, max_history: int, deduplicate: bool
    ) -> None:
        self.sequences = sequences
        self.catalogue = catalogue
        self.max_history = max_history
        self.deduplicate = deduplicate
        per_user = np.maximum(sequences.train_length - 1, 0)
        self.bounds = np.concatenate([[0], np.cumsum(per_user)])
        if self.bounds[-1] == 0:
            raise DataError(
                "the training split is empty: no user has two training items "
                "(leave_one_out keeps the last two items of each user for evaluation)."
            )

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def samples_per_domain(self) -> NDArray[np.int64]:
        """Number of samples of each domain; samples are ordered by domain."""
        per_user = np.diff(self.bounds)
        return np.bincount(self.sequences.domain, weights=per_user, minlength=len(self.catalogue.domains)).astype(
            np.int64
        )

    def __getitem__(self, samples: NDArray[np.int64]) -> SequenceBatch:
        """The batch of the given sample numbers."""
        user = np.searchsorted(self.bounds, samples, side="right") - 1
        end = samples - self.bounds[user] + 1
        history, length, target = self.sequences.windows(user, end, self.max_history)
        domain = self.sequences.domain[user]
        if not self.deduplicate:
            return _as_batch(history, length, target, domain, None)
        ids, inverse = np.unique(np.concatenate([[0], history.ravel(), target]), return_inverse=True)
        history = inverse[1 : 1 + history.size].reshape(history.shape)
        table = self.catalogue.table(torch.from_numpy(ids), with_features=self.catalogue.residency != "device")
        return _as_batch(history, length, inverse[-len(target) :], domain, table)


class EvaluationHistories(Dataset[SequenceBatch]):
    """Validation or test users; items are global ids.

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
        user = self.rows.user[samples]
        history, length, target = self.sequences.windows(user, self.rows.target[samples], self.max_history)
        batch = _as_batch(history, length, target, self.sequences.domain[user], None)
        return replace(batch, user=torch.from_numpy(user))


def _as_batch(
    history: NDArray[np.int64],
    length: NDArray[np.int64],
    target: NDArray[np.int64],
    domain: NDArray[np.int64],
    items: ItemTable | None,
) -> SequenceBatch:
    return SequenceBatch(
        torch.from_numpy(history),
        torch.from_numpy(length),
        torch.from_numpy(target),
        torch.from_numpy(domain),
        items,
    )


def _stack(rows: Sequence[EvaluationRows], first_user: NDArray[np.int64]) -> EvaluationRows:
    return EvaluationRows(
        np.concatenate([r.user + first_user[d] for d, r in enumerate(rows)]),
        np.concatenate([r.target for r in rows]),
    )
