"""From released rows back to whole sequences.

The released files hold, for every training prefix, the last 50 items of the history and the target. A row
whose history is shorter than the longest one of the files shows its target's position. Rows of the longest
length are chained: each continues the row before it by one item. Every row is then checked against the
result, so that the prefixes computed from the sequences are exactly the released rows.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from missrec_pl.data.released.rows import Rows
from missrec_pl.data.sequences import Ints, Sequences, offsets_of
from missrec_pl.errors import DataError


@dataclass(frozen=True)
class Reconstruction:
    """Whole sequences of the users of a released folder.

    Attributes:
        users: User tokens [U], by number where all tokens are numbers, else in order of appearance.
        sequences: Native items (feature row + 1).
        missing_prefixes: Training prefixes of these sequences for which the files have no row.
        max_history: Length at which the files cut histories (their longest one), in items.
    """

    users: list[str]
    sequences: Sequences
    missing_prefixes: int
    max_history: int


@dataclass(frozen=True)
class _Split:
    """The rows of one split: each row's user [R], and the position [R] of its target in the user's sequence."""

    name: str
    rows: Rows
    user: Ints
    position: Ints


def reconstruct(splits: Mapping[str, Rows]) -> Reconstruction:
    """Rebuilds every user's sequence and checks that it reproduces every row.

    Args:
        splits: ``train`` alone (a pre-training set), or ``train``, ``valid`` and ``test``. Then every user
            needs a test row, and a validation row unless the test history has one item: the split of the
            files has to be leave-one-out, for that is what is computed from sequences.

    Raises:
        DataError: The rows contradict each other or the leave-one-out split; names the first such row.
    """
    named = [(name, splits[name]) for name in ("train", "valid", "test") if name in splits]
    tokens = list(dict.fromkeys(token for _, rows in named for token in rows.users))
    if all(token.isascii() and token.isdigit() for token in tokens):
        tokens.sort(key=lambda token: (int(token), token))
    number = {token: index for index, token in enumerate(tokens)}
    parts = []
    for name, rows in named:
        users = np.fromiter((number[token] for token in rows.users), np.int64, len(rows))
        parts.append(_Split(name, rows, users, position=rows.lengths()))  # of rows that are cut: corrected later
    is_leave_one_out = "test" in splits
    if is_leave_one_out:
        _check_one_each(parts, len(tokens))
    cut = max(int(part.rows.lengths().max()) for part in parts)
    sequences = _build(parts, len(tokens), cut)
    for part in parts:
        _check_rows(part, sequences, cut)
    if is_leave_one_out:
        _check_leave_one_out(parts, sequences)
    train = parts[0]
    _check_unique(train.rows, train.user * (int(sequences.lengths().max()) + 1) + train.position)
    held_out = 2 if is_leave_one_out else 0
    expected = int(np.maximum(sequences.lengths() - held_out - 1, 0).sum())
    native = Sequences(sequences.items + np.int32(1), sequences.offsets)
    return Reconstruction(tokens, native, expected - len(train.rows), cut)


def _check_one_each(parts: list[_Split], num_users: int) -> None:
    """Raises DataError unless each user has one test row and, with a longer history, one validation row."""
    counts = {part.name: np.bincount(part.user, minlength=num_users) for part in parts}
    train, valid, test = parts
    for part in (valid, test):
        if (counts[part.name] > 1).any():
            _check_unique(part.rows, part.user)
    unvalidated = (counts["valid"][test.user] == 0) & (test.rows.lengths() > 1)
    for part, lacking, what, other, of_whom in (
        (train, counts["test"][train.user] == 0, "train rows", test, ""),
        (valid, counts["test"][valid.user] == 0, "valid rows", test, ""),
        (test, unvalidated, "a test row", valid, " with three items or more"),
    ):
        if lacking.any():
            row = int(np.argmax(lacking))
            raise DataError(
                f"{part.rows.where(row)}: user {part.rows.users[row]} has {what} but none in "
                f"{other.rows.path.name}; leave-one-out needs one for every user{of_whom}: add it, or remove the "
                "user"
            )


def _check_unique(rows: Rows, keys: Ints) -> None:
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if len(twice):
        first, second = sorted(int(row) for row in order[twice[0] : twice[0] + 2])
        raise DataError(
            f"{rows.where(second)}: user {rows.users[second]} repeats the row of line {rows.lines[first]}; "
            "remove one of them"
        )


def _build(parts: list[_Split], num_users: int, cut: int) -> Sequences:
    """Sequences of feature rows; corrects the positions of rows that are cut."""
    longest: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)] * num_users
    cut_rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, part in enumerate(parts):
        lengths = part.rows.lengths()
        steps = np.diff(lengths)[part.user[1:] == part.user[:-1]]
        is_falling = (steps < 0).sum() > (steps > 0).sum()  # the file lists long prefixes first
        for row in range(len(lengths))[:: -1 if is_falling else 1]:
            user, length = int(part.user[row]), int(lengths[row])
            if length == cut:
                cut_rows[user].append((index, row))
            elif length + 1 > len(longest[user]):
                longest[user] = np.append(part.rows.of(row), part.rows.targets[row])
    for user, found in cut_rows.items():
        longest[user] = _chain(parts, found, longest[user], cut)
    return Sequences(np.concatenate(longest).astype(np.int32), offsets_of([len(one) for one in longest]))


def _chain(
    parts: list[_Split], found: list[tuple[int, int]], start: npt.NDArray[np.int32], cut: int
) -> npt.NDArray[np.int32]:
    """Joins one user's rows of the longest length to a sequence and notes their positions.

    ``found`` has the split and row of each; ``start`` is the sequence up to the cut, or less if no row shows it.
    """
    following: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for index, row in found:
        following[parts[index].rows.of(row).tobytes()].append((index, row))
    if len(start) != cut:  # begin with a row that continues no other one
        continued = {
            np.append(parts[index].rows.of(row)[1:], parts[index].rows.targets[row]).tobytes()
            for index, row in found
        }
        heads = [pair for key, pairs in following.items() if key not in continued for pair in pairs]
        index, row = (heads or found)[0]
        start = parts[index].rows.of(row)
    sequence, window = start.tolist(), start.tobytes()
    left = len(found)
    while following.get(window):
        index, row = following[window].pop(0)
        parts[index].position[row] = len(sequence)
        sequence.append(int(parts[index].rows.targets[row]))
        window = np.asarray(sequence[-cut:], np.int32).tobytes()
        left -= 1
    if left:
        index, row = min(pair for pairs in following.values() for pair in pairs)
        rows = parts[index].rows
        raise DataError(
            f"{rows.where(row)}: this history of user {rows.users[row]} does not continue the "
            f"user's other rows; histories of {cut} items have to follow each other by one item"
        )
    return np.asarray(sequence, np.int32)


def _check_rows(part: _Split, sequences: Sequences, cut: int) -> None:
    """Raises DataError unless every row equals ``(sequence[:position][-cut:], sequence[position])``."""
    rows, position, lengths = part.rows, part.position, part.rows.lengths()
    starts, last = sequences.offsets[part.user], len(sequences.items) - 1
    right = (position < sequences.lengths()[part.user]) & (lengths == np.minimum(position, cut))
    right &= sequences.items[np.minimum(starts + position, last)] == rows.targets
    row_of = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(len(rows.items)) - rows.offsets[row_of]
    source = np.clip(starts[row_of] + (position - lengths)[row_of] + within, 0, last)
    wrong_items = sequences.items[source] != rows.items
    right &= np.bincount(row_of[wrong_items], minlength=len(rows)) == 0
    if not right.all():
        row = int(np.argmin(right))
        raise DataError(
            f"{rows.where(row)}: history and target of user {rows.users[row]} contradict the user's longest "
            "row; every row has to be a prefix of the same sequence"
        )


def _check_leave_one_out(parts: list[_Split], sequences: Sequences) -> None:
    places = {"train": "before the last two", "valid": "the last but one", "test": "the last"}
    for part in parts:
        last = sequences.lengths()[part.user] - 1
        is_train = part.name == "train"
        right = part.position <= last - 2 if is_train else part.position == last - (part.name == "valid")
        if not right.all():
            row, place = int(np.argmin(right)), places[part.name]
            raise DataError(
                f"{part.rows.where(row)}: the target of user {part.rows.users[row]} is item "
                f"{part.position[row] + 1} of {last[row] + 1}, but a {part.name} target has to be {place}"
            )
