"""Splits of a domain, computed and never stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.domain.folder import Sequences
from missrec_pl.errors import ConfigError, DataError

SplitKind = Literal["leave_one_out", "global_time", "train_only"]
SPLITS: tuple[str, ...] = get_args(SplitKind)


@dataclass(frozen=True)
class EvaluationRows:
    """Users to evaluate: the target is item ``target[i]`` (0-based) of user ``user[i]``'s sequence.

    The history is everything before the target.
    """

    user: NDArray[np.int64]
    target: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)

    def take(self, chosen: slice | NDArray[np.int64]) -> EvaluationRows:
        """Some of the rows."""
        return EvaluationRows(self.user[chosen], self.target[chosen])


@dataclass(frozen=True)
class Split:
    """``train_length[u]`` first items of user ``u`` are for training; the rest is for evaluation."""

    train_length: NDArray[np.int64]
    validation: EvaluationRows
    test: EvaluationRows


def make_split(
    sequences: Sequences, kind: SplitKind, *, validation_share: float = 0.1, test_share: float = 0.1
) -> Split:
    """Split the sequences of a domain.

    Args:
        sequences: chronological items of every user.
        kind: ``"leave_one_out"``: the last item is the test target, the one before it the validation target
            (users with two items have a test target only, users with one none); ``"global_time"``: two moments
            cut off the last shares of all interactions, and a user's first item after each is the target;
            ``"train_only"``: everything trains, nothing is evaluated.
        validation_share: share of interactions between the two moments (``global_time``).
        test_share: share of interactions after the second moment (``global_time``).

    Raises:
        ConfigError: an unknown kind.
        DataError: ``global_time`` on a domain without timestamps.
    """
    lengths = np.diff(sequences.offsets)
    if kind == "train_only":
        nobody = EvaluationRows(np.empty(0, np.int64), np.empty(0, np.int64))
        return Split(lengths, nobody, nobody)
    if kind == "leave_one_out":
        validated, tested = np.flatnonzero(lengths >= 3), np.flatnonzero(lengths >= 2)
        return Split(
            np.maximum(lengths - 2, 0),
            EvaluationRows(validated, lengths[validated] - 2),
            EvaluationRows(tested, lengths[tested] - 1),
        )
    if kind == "global_time":
        return _global_time(sequences, validation_share, test_share)
    raise ConfigError(f"data.split={kind!r}: choose one of {', '.join(SPLITS)}.")


def _global_time(sequences: Sequences, validation_share: float, test_share: float) -> Split:
    times = sequences.timestamps
    if times is None:
        raise DataError("data.split=global_time needs timestamps, and this domain has none: use leave_one_out.")
    cuts = np.quantile(times, [1 - validation_share - test_share, 1 - test_share], method="lower")
    lengths = np.diff(sequences.offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    before_validation = np.bincount(owner[times < cuts[0]], minlength=len(lengths))
    before_test = np.bincount(owner[times < cuts[1]], minlength=len(lengths))
    # A target needs a history of at least one item.
    validated = np.flatnonzero((before_test > before_validation) & (before_validation > 0))
    tested = np.flatnonzero((lengths > before_test) & (before_test > 0))
    return Split(
        before_validation,
        EvaluationRows(validated, before_validation[validated]),
        EvaluationRows(tested, before_test[tested]),
    )
