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
EvalTarget = Literal["first", "last", "random", "all"]
EVAL_TARGETS: tuple[str, ...] = get_args(EvalTarget)
_TARGET_SEED = 0  # of the drawn targets, which belong to the data and not to a run


@dataclass(frozen=True)
class EvaluationRows:
    """Users to evaluate: the target is item ``target[i]`` (0-based) of user ``user[i]``'s sequence.

    The history is everything before the target. A user may have several rows, which stand together.
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
    sequences: Sequences,
    kind: SplitKind,
    *,
    eval_target: EvalTarget = "first",
    refit: bool = False,
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Split:
    """Split the sequences of a domain.

    Args:
        sequences: chronological items of every user.
        kind: ``"leave_one_out"``: the last item is the test target, the one before it the validation target
            (users with two items have a test target only, users with one none); ``"global_time"``: two moments
            cut off the last shares of all interactions, and ``eval_target`` says which of a user's items in each
            share are targets; ``"train_only"``: everything trains, nothing is evaluated.
        eval_target: ``"first"``: the first item after the cut, of users known before it; ``"last"``: the last
            one; ``"random"``: one of them, the same in every run; ``"all"``: each of them, predicted from what
            came before it (``global_time``; see docs/evaluation.md).
        refit: what validates trains, too, and nobody validates: for a last fit, once everything is chosen.
        validation_share: share of interactions between the two moments (``global_time``).
        test_share: share of interactions after the second moment (``global_time``).

    Raises:
        ConfigError: an unknown kind or target, or a target that the kind does not offer.
        DataError: ``global_time`` on a domain without timestamps.
    """
    lengths = np.diff(sequences.offsets)
    if eval_target not in EVAL_TARGETS:
        raise ConfigError(f"data.eval_target={eval_target!r}: choose one of {', '.join(EVAL_TARGETS)}.")
    if eval_target != "first" and kind in SPLITS and kind != "global_time":
        raise ConfigError(
            f"data.eval_target={eval_target}: belongs to data.split=global_time; data.split={kind} has targets of "
            "its own."
        )
    if refit and kind == "train_only":
        raise ConfigError("data.refit=true: data.split=train_only trains on everything already.")
    nobody = EvaluationRows(np.empty(0, np.int64), np.empty(0, np.int64))
    if kind == "train_only":
        return Split(lengths, nobody, nobody)
    if kind == "leave_one_out":
        validated, tested = np.flatnonzero(lengths >= 3), np.flatnonzero(lengths >= 2)
        test = EvaluationRows(tested, lengths[tested] - 1)
        if refit:
            return Split(np.maximum(lengths - 1, 0), nobody, test)
        return Split(np.maximum(lengths - 2, 0), EvaluationRows(validated, lengths[validated] - 2), test)
    if kind == "global_time":
        split, before_test = _global_time(sequences, eval_target, validation_share, test_share)
        return Split(before_test, nobody, split.test) if refit else split
    raise ConfigError(f"data.split={kind!r}: choose one of {', '.join(SPLITS)}.")


def _global_time(
    sequences: Sequences, eval_target: EvalTarget, validation_share: float, test_share: float
) -> tuple[Split, NDArray[np.int64]]:
    """The split, and how many of each user's items stand before the second moment."""
    times = sequences.timestamps
    if times is None:
        raise DataError("data.split=global_time needs timestamps, and this domain has none: use leave_one_out.")
    cuts = np.quantile(times, [1 - validation_share - test_share, 1 - test_share], method="lower")
    lengths = np.diff(sequences.offsets)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    before_validation = np.bincount(owner[times < cuts[0]], minlength=len(lengths))
    before_test = np.bincount(owner[times < cuts[1]], minlength=len(lengths))
    validation = _targets(before_validation, before_test, eval_target)
    return Split(before_validation, validation, _targets(before_test, lengths, eval_target)), before_test


def _targets(start: NDArray[np.int64], end: NDArray[np.int64], which: EvalTarget) -> EvaluationRows:
    """The targets among items ``start[u]..end[u] - 1`` of each user; one needs a history of an item at least."""
    if which == "first":
        user = np.flatnonzero((end > start) & (start > 0))
        return EvaluationRows(user, start[user])
    start = np.maximum(start, 1)
    count = np.maximum(end - start, 0)
    user = np.flatnonzero(count)
    if which == "last":
        return EvaluationRows(user, end[user] - 1)
    if which == "random":
        drawn = (np.random.default_rng(_TARGET_SEED).random(len(count)) * count).astype(np.int64)
        return EvaluationRows(user, (start + drawn)[user])
    every = np.repeat(np.arange(len(count)), count)
    return EvaluationRows(every, start[every] + np.arange(len(every)) - np.repeat(np.cumsum(count) - count, count))
