"""Training examples: found by their number, never materialised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.global_sequences import PAIR_WINDOW, GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.sequences import Ints, offsets_of
from missrec_pl.errors import DataError

_COUNTED_AT_ONCE = 1 << 20  # targets


@dataclass(frozen=True)
class Located:
    """Where in the sequences the rows of a batch, and their targets, are.

    Attributes:
        user: ``[B]`` global user of each row.
        start: ``[B]`` where in the user's sequence its first place is.
        length: ``[B]`` its number of places.
        row: ``[R]`` the row of each target, rising.
        target: ``[R]`` where in the user's sequence the target is.
    """

    user: Ints
    start: Ints
    length: Ints
    row: Ints
    target: Ints

    def of_targets(self) -> Ints:
        """``[R]`` the user of each target."""
        return self.user[self.row]

    def take(self, rows: slice) -> tuple[Located, Ints]:
        """Some of the rows, and which targets are theirs."""
        chosen = np.arange(len(self.user))[rows]
        number = np.full(len(self.user), -1)
        number[chosen] = np.arange(len(chosen))
        kept = np.flatnonzero(number[self.row] >= 0)
        user, start, length = self.user[chosen], self.start[chosen], self.length[chosen]
        return Located(user, start, length, number[self.row[kept]], self.target[kept]), kept


@dataclass(eq=False, repr=False)
class TrainingExamples(ABC):
    """The rows that a kind of example makes of all training parts, numbered user by user.

    Attributes:
        sequences: the sequences of all domains; batches have times where these have been read.
        catalogue: the items.
        max_history: longest history; older items are left out, or come in a row of their own.
        deduplicate: True gives each batch a table of its distinct items, False the whole catalogue.
        fold_of_user: ``[U]`` the fold of each user, of which a batch has to have one; None for no folds.

    Raises:
        DataError: there is no training row at all.
    """

    sequences: GlobalSequences
    catalogue: Catalogue
    max_history: int
    deduplicate: bool
    fold_of_user: Ints | None = None

    # Of a kind, not of an instance: whether a target stands at its own place, hidden, instead of after the place
    # that predicts it; and whether a row may have other targets than one at its last place.
    hides_targets = False
    has_many_targets = True

    def __post_init__(self) -> None:
        rows = -(-np.maximum(self.sequences.train_length - 1, 0) // self.step)
        self.bounds = offsets_of(rows)
        if self.bounds[-1] == 0:
            raise DataError(
                "the training split is empty: no user has two training items "
                "(leave_one_out keeps the last two items of each user for evaluation)."
            )

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.bounds[-1])

    @property
    @abstractmethod
    def step(self) -> int:
        """By how many items the rows of a user follow one another."""

    def stretches(self, samples: Ints) -> tuple[Ints, Ints, Ints]:
        """User, first place and number of places of the given rows, of a kind that cuts the training parts up."""
        user, number, count = self.numbered(samples)
        total = self.sequences.train_length[user] - int(not self.hides_targets)
        return user, *cut(total, number, count, self.step)

    @abstractmethod
    def possible_targets(self, samples: Ints) -> tuple[Located, NDArray[np.float64] | None]:
        """The given rows with all that may be their targets, and how often each of these is; None: always."""

    def locate(self, samples: Ints, random: np.random.Generator) -> Located:
        """Where the given rows and their targets are.

        Args:
            samples: row numbers.
            random: the source of what is drawn; a kind that draws nothing leaves it as it is.
        """
        return self.possible_targets(samples)[0]

    def numbered(self, samples: Ints) -> tuple[Ints, Ints, Ints]:
        """The user of each row, its number among the user's rows (from 0, in order of time), and their count."""
        user = np.searchsorted(self.bounds, samples, side="right") - 1
        return user, samples - self.bounds[user], self.bounds[user + 1] - self.bounds[user]

    def samples_per_domain(self) -> Ints:
        """Number of rows of each domain; rows are ordered by domain."""
        counts = np.bincount(self.sequences.domain, np.diff(self.bounds), len(self.catalogue.domains))
        return counts.astype(np.int64)

    def lengths(self) -> Ints | None:
        """``[S]`` places of each row, where a row has a target at many; None where the last one alone has one."""
        if not self.has_many_targets:
            return None
        found = np.empty(len(self), np.min_scalar_type(self.step))
        for first in range(0, len(self), _COUNTED_AT_ONCE):
            samples = np.arange(first, min(first + _COUNTED_AT_ONCE, len(self)))
            found[first : first + len(samples)] = self.stretches(samples)[2]
        return found

    def folds(self) -> Ints | None:
        """The fold of each row; None where users have no folds."""
        return None if self.fold_of_user is None else np.repeat(self.fold_of_user, np.diff(self.bounds))

    def fold_of(self, located: Located) -> int | None:
        """The fold that all the given rows are of; None where users have no folds."""
        return None if self.fold_of_user is None else int(self.fold_of_user[located.user[0]])

    def targets_of(self, located: Located) -> Ints:
        """``[R]`` global ids of the targets."""
        return self.sequences.at(located.of_targets(), located.target)

    def target_counts(self) -> NDArray[np.int64 | np.float64]:
        """``[G, N + 1]`` targets of an epoch that are each item (global id), in each fold (or in all rows).

        Where targets are drawn it is the expectation, times a number that lets a fold's counts sum to all that
        may be a target: so that a batch's targets are so many of these.
        """
        num_folds = 1 if self.fold_of_user is None else int(self.fold_of_user.max()) + 1
        width = self.catalogue.num_items + 1
        counts, possible, is_drawn = np.zeros(num_folds * width), np.zeros(num_folds), False
        step = max(1, _COUNTED_AT_ONCE // self.max_history) if self.has_many_targets else _COUNTED_AT_ONCE
        for first in range(0, len(self), step):
            located, weight = self.possible_targets(np.arange(first, min(first + step, len(self))))
            owner = located.of_targets()
            fold = np.zeros_like(owner) if self.fold_of_user is None else self.fold_of_user[owner]
            counts += np.bincount(fold * width + self.targets_of(located), weight, counts.size)
            possible += np.bincount(fold, minlength=num_folds)
            is_drawn = weight is not None
        of_fold = counts.reshape(num_folds, width)
        if not is_drawn:
            return of_fold.astype(np.int64)
        scale: NDArray[np.float64] = possible / np.maximum(of_fold.sum(1), np.finfo(float).tiny)
        return of_fold * scale[:, None]

    def build(self, located: Located, also: Ints | None = None) -> tuple[SequenceBatch, Ints | None]:
        """The batch of rows, and where further items are in its item table.

        Args:
            located: the rows.
            also: further items (global ids, of any shape) for a table of distinct items.
        """
        sequences, user = self.sequences, located.user
        history, is_masked, place = self._shown(located)
        target, table = self.targets_of(located), None
        if self.deduplicate:
            ids, row = self._distinct(history, target, *(() if also is None else (also,)))
            table = self.catalogue.table(torch.from_numpy(ids), with_features=self.catalogue.placement != "device")
            history, target, also = row[history], row[target], None if also is None else row[also]
        # Nothing of the future of the training part is read: at its end, the request has the last item's time.
        request = np.minimum(located.start + located.length, sequences.train_length[user] - 1)
        batch = SequenceBatch(
            torch.from_numpy(history),
            torch.from_numpy(located.length),
            torch.from_numpy(target),
            torch.from_numpy(sequences.domain[user]),
            table,
            future=torch.from_numpy(sequences.future(located.of_targets(), located.target, PAIR_WINDOW)),
            fold=self.fold_of(located),
            place=_tensor(place),
            is_masked=_tensor(is_masked),
            times=_tensor(sequences.clock(user, located.start, located.length, request)),
        )
        return batch, also

    def _shown(self, located: Located) -> tuple[Ints, NDArray[np.bool_] | None, Ints | None]:
        """Histories, what is hidden of them, and the flat places of the targets."""
        history = self.sequences.spans(located.user, located.start, located.length)
        if not self.has_many_targets:
            return history, None, None
        place = located.target - located.start[located.row] - int(not self.hides_targets)
        flat = located.row * history.shape[1] + place
        if not self.hides_targets:
            return history, None, flat
        is_masked = np.zeros(history.shape, bool)
        is_masked.reshape(-1)[flat] = True
        return np.where(is_masked, 0, history), is_masked, flat

    def _distinct(self, *ids: Ints) -> tuple[Ints, Ints]:
        """Distinct ids in ascending order, padding first, and the row of each; without a sort."""
        seen = np.zeros(self.catalogue.num_items + 1, bool)
        seen[0] = True
        for some in ids:
            seen[some] = True
        distinct = np.flatnonzero(seen)
        row = np.empty(len(seen), np.int64)
        row[distinct] = np.arange(len(distinct))
        return distinct, row


def cut(total: Ints, number: Ints, count: Ints, size: int) -> tuple[Ints, Ints]:
    """First item and length of stretches cut from the end; all but the first of a sequence are ``size`` long.

    Args:
        total: ``[B]`` items of the sequence that a stretch is of.
        number: ``[B]`` which of its stretches, from 0 in order of time.
        count: ``[B]`` how many it has.
        size: items of a stretch, at most.
    """
    stop = total - size * (count - 1 - number)
    start = np.maximum(stop - size, 0)
    return start, stop - start


def _tensor(array: NDArray[np.generic] | None) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(array)
