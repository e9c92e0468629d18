"""Batches, and the data sets that build them from (user, end) indices without materialising prefixes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from missrec_pl.data.candidates import Candidates
from missrec_pl.data.global_sequences import PAIR_WINDOW, GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.items.table import ItemTable
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.errors import DataError

__all__ = ["EvaluationHistories", "GlobalSequences", "SequenceBatch", "TrainingPrefixes"]

_COUNTED_AT_ONCE = 1 << 20  # samples


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
        later: ``[B, W]`` global ids of what the user's training part holds from the target on, right-padded
            with 0; None in evaluation.
        candidates: what the rows choose among; None leaves it to the item table.
        fold: the fold of users that all rows of a training batch are of; None where users have no folds.
    """

    history: Tensor
    length: Tensor
    target: Tensor
    domain: Tensor
    items: ItemTable | None = None
    user: Tensor | None = None
    later: Tensor | None = None
    candidates: Candidates | None = None
    fold: int | None = None

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
            None if self.later is None else self.later.to(device, non_blocking=non_blocking),
            None if self.candidates is None else self.candidates.to(device, non_blocking),
            self.fold,
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
            None if self.later is None else self.later.pin_memory(),
            None if self.candidates is None else self.candidates.pin_memory(),
            self.fold,
        )

    def with_items(self, items: ItemTable) -> SequenceBatch:
        """The batch with its item table replaced."""
        return replace(self, items=items)


class TrainingPrefixes(Dataset[SequenceBatch]):
    """Every prefix of every training part; sample ``s`` is found by its (user, end), never stored.

    Args:
        sequences: the sequences of all domains.
        catalogue: the items.
        max_history: longest history; older items are left out.
        deduplicate: True gives each batch a table of its distinct items, False the whole catalogue.
        fold_of_user: ``[U]`` the fold of each user, of which a batch has to have one; None for no folds.

    Raises:
        DataError: there is no training sample at all.
    """

    def __init__(
        self,
        sequences: GlobalSequences,
        catalogue: Catalogue,
        max_history: int,
        deduplicate: bool,
        fold_of_user: NDArray[np.int64] | None = None,
    ) -> None:
        self.sequences = sequences
        self.catalogue = catalogue
        self.max_history = max_history
        self.deduplicate = deduplicate
        self.fold_of_user = fold_of_user
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

    def folds(self) -> NDArray[np.int64] | None:
        """The fold of each sample; None where users have no folds."""
        return None if self.fold_of_user is None else np.repeat(self.fold_of_user, np.diff(self.bounds))

    def __getitem__(self, samples: NDArray[np.int64]) -> SequenceBatch:
        """The batch of the given sample numbers."""
        return self.batch(samples)

    def batch(self, samples: NDArray[np.int64], also: NDArray[np.int64] | None = None) -> SequenceBatch:
        """The batch of the given sample numbers.

        Args:
            samples: sample numbers.
            also: ``[C]`` further items (global ids) for a table of distinct items; they may repeat the batch's.
        """
        user, end = self._places(samples)
        history, length, target = self.sequences.windows(user, end, self.max_history)
        domain = self.sequences.domain[user]
        later = torch.from_numpy(self.sequences.later(user, end, PAIR_WINDOW))
        fold = None if self.fold_of_user is None else int(self.fold_of_user[user[0]])
        if not self.deduplicate:
            return replace(_as_batch(history, length, target, domain, None), later=later, fold=fold)
        ids, row = self._distinct(history, target, *(() if also is None else (also,)))
        table = self.catalogue.table(torch.from_numpy(ids), with_features=self.catalogue.residency != "device")
        return replace(_as_batch(row[history], length, row[target], domain, table), later=later, fold=fold)

    def fold_of(self, samples: NDArray[np.int64]) -> int | None:
        """The fold that all the given samples are of; None where users have no folds."""
        return None if self.fold_of_user is None else int(self.fold_of_user[self._places(samples[:1])[0][0]])

    def targets(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Global ids of the targets of the given samples."""
        return self._items_at(*self._places(samples))

    def target_counts(self) -> NDArray[np.int64]:
        """``[G, N + 1]`` samples that have each item (global id) as target, in each fold (or in all samples)."""
        num_folds = 1 if self.fold_of_user is None else int(self.fold_of_user.max()) + 1
        counts = np.zeros((num_folds, self.catalogue.num_items + 1), np.int64)
        for first in range(0, len(self), _COUNTED_AT_ONCE):
            samples = np.arange(first, min(first + _COUNTED_AT_ONCE, len(self)))
            user, end = self._places(samples)
            fold = 0 if self.fold_of_user is None else self.fold_of_user[user]
            place = fold * counts.shape[1] + self._items_at(user, end)
            counts += np.bincount(place, minlength=counts.size).reshape(counts.shape)
        return counts

    def _items_at(self, user: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.sequences.items[self.sequences.starts[user] + end].astype(np.int64)

    def _places(self, samples: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """User and place of the target of each sample."""
        user = np.searchsorted(self.bounds, samples, side="right") - 1
        return user, samples - self.bounds[user] + 1

    def _distinct(self, *ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Distinct ids in ascending order, padding first, and the row of each; without a sort."""
        seen = np.zeros(self.catalogue.num_items + 1, bool)
        seen[0] = True
        for some in ids:
            seen[some] = True
        distinct = np.flatnonzero(seen)
        row = np.empty(len(seen), np.int64)
        row[distinct] = np.arange(len(distinct))
        return distinct, row


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
