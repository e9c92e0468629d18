"""From released rows back to whole sequences.

The released files hold, for every training prefix, the last 50 items of the history and the target. A row
whose history is shorter than the longest one of the files shows its target's position; rows of the longest
length are chained: each continues the row before it by one item. Every row is then checked against the
result, so that the prefixes computed from the sequences are exactly the released rows.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from missrec_pl.data.released.rows import Rows
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError

Ints = npt.NDArray[np.int64]


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


def reconstruct(splits: Mapping[str, Rows]) -> Reconstruction:
    """Rebuilds every user's sequence and checks that it reproduces every row.

    Args:
        splits: ``train`` alone (a pre-training set), or ``train``, ``valid`` and ``test``. Then every user
            needs a test row, and a validation row unless the test history has one item: the split of the
            files has to be leave-one-out, for that is what is computed from sequences.

    Raises:
        DataError: The rows contradict each other or the leave-one-out split; names the first such row.
    """
    names = [name for name in ("train", "valid", "test") if name in splits]
    rows = [splits[name] for name in names]
    users = _order([user for part in rows for user in part.users])
    code = {user: number for number, user in enumerate(users)}
    codes = [np.fromiter((code[user] for user in part.users), np.int64, len(part)) for part in rows]
    if "test" in splits:
        _check_one_each(rows, codes, names, len(users), users)
    cut = max(int(part.lengths().max()) for part in rows)
    sequences, positions = _build(rows, codes, len(users), cut)
    for part, part_codes, part_positions in zip(rows, codes, positions, strict=True):
        _check_rows(part, part_codes, part_positions, sequences, cut)
    held_out = 0
    if "test" in splits:
        held_out = 2
        _check_leave_one_out(rows, codes, positions, names, sequences)
    keys = codes[0] * (int(sequences.lengths().max()) + 1) + positions[0]
    _check_unique(rows[0], keys)
    expected = int(np.maximum(sequences.lengths() - held_out - 1, 0).sum())
    native = Sequences(sequences.items + np.int32(1), sequences.offsets)
    return Reconstruction(users, native, expected - len(rows[0]), cut)


def _order(tokens: Sequence[str]) -> list[str]:
    distinct = list(dict.fromkeys(tokens))
    if all(token.isascii() and token.isdigit() for token in distinct):
        distinct.sort(key=lambda token: (int(token), token))
    return distinct


def _check_one_each(
    rows: list[Rows], codes: list[Ints], names: list[str], num_users: int, users: list[str]
) -> None:
    has = {}
    for part, part_codes, name in zip(rows, codes, names, strict=True):
        has[name] = np.bincount(part_codes, minlength=num_users)
        if name != "train" and (has[name] > 1).any():
            _check_unique(part, part_codes)
    for part, part_codes, name in zip(rows, codes, names, strict=True):
        if name != "test" and (has["test"][part_codes] == 0).any():
            row = int(np.argmax(has["test"][part_codes] == 0))
            raise DataError(
                f"{part.where(row)}: user {users[part_codes[row]]} has {name} rows but none in "
                f"{rows[-1].path.name}; leave-one-out needs one for every user: add it, or remove the user"
            )
    test, test_codes = rows[-1], codes[-1]
    unvalidated = (has["valid"][test_codes] == 0) & (test.lengths() > 1)
    if unvalidated.any():
        row = int(np.argmax(unvalidated))
        raise DataError(
            f"{test.where(row)}: user {users[test_codes[row]]} has a test row but none in "
            f"{rows[-2].path.name}; leave-one-out needs one for every user with three items or more: add "
            "it, or remove the user"
        )


def _check_unique(part: Rows, keys: Ints) -> None:
    order = np.argsort(keys, kind="stable")
    twice = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if len(twice):
        first, second = sorted(int(row) for row in order[twice[0] : twice[0] + 2])
        raise DataError(
            f"{part.where(second)}: user {part.users[second]} repeats the row of line {part.lines[first]}; "
            "remove one of them"
        )


def _build(rows: list[Rows], codes: list[Ints], num_users: int, cut: int) -> tuple[Sequences, list[Ints]]:
    """Sequences (feature rows) and, for every row, the position of its target in its user's sequence."""
    positions = [part.lengths().copy() for part in rows]
    longest: list[npt.NDArray[np.int32] | None] = [None] * num_users
    reached = np.zeros(num_users, np.int64)
    cut_rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index, (part, part_codes) in enumerate(zip(rows, codes, strict=True)):
        lengths = part.lengths()
        for row in _ascending(part_codes, lengths):
            user, length = int(part_codes[row]), int(lengths[row])
            if length == cut:
                cut_rows[user].append((index, row))
            elif length > reached[user]:
                reached[user] = length
                longest[user] = np.append(part.history(row), part.targets[row])
    for user, found in cut_rows.items():
        longest[user] = _chain(rows, positions, found, longest[user], cut)
    complete = [one for one in longest if one is not None]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in complete])]).astype(np.int64)
    return Sequences(np.concatenate(complete).astype(np.int32), offsets), positions


def _ascending(codes: Ints, lengths: Ints) -> list[int]:
    """Row numbers, reversed if the file lists long prefixes first."""
    same = codes[1:] == codes[:-1]
    steps = np.diff(lengths)[same]
    order = range(len(codes))
    return list(reversed(order)) if (steps < 0).sum() > (steps > 0).sum() else list(order)


def _chain(
    rows: list[Rows],
    positions: list[Ints],
    found: list[tuple[int, int]],
    start: npt.NDArray[np.int32] | None,
    cut: int,
) -> npt.NDArray[np.int32]:
    """Joins one user's rows of the longest length to a sequence and notes their positions."""
    following: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for index, row in found:
        following[rows[index].history(row).tobytes()].append((index, row))
    if start is None or len(start) != cut:  # no row shows the items up to the cut: begin where nothing leads to
        continued = {
            np.append(rows[index].history(row)[1:], rows[index].targets[row]).tobytes() for index, row in found
        }
        heads = [(index, row) for index, row in found if rows[index].history(row).tobytes() not in continued]
        index, row = (heads or found)[0]
        start = rows[index].history(row)
    sequence = start.tolist()
    window = start.tobytes()
    left = len(found)
    while following.get(window):
        index, row = following[window].pop(0)
        positions[index][row] = len(sequence)
        sequence.append(int(rows[index].targets[row]))
        window = np.asarray(sequence[-cut:], np.int32).tobytes()
        left -= 1
    if left:
        index, row = min(pair for pairs in following.values() for pair in pairs)
        raise DataError(
            f"{rows[index].where(row)}: this history of user {rows[index].users[row]} does not continue the "
            f"user's other rows; histories of {cut} items have to follow each other by one item"
        )
    return np.asarray(sequence, np.int32)


def _check_rows(part: Rows, codes: Ints, positions: Ints, sequences: Sequences, cut: int) -> None:
    """Every row has to equal ``(sequence[:position][-cut:], sequence[position])``."""
    starts = sequences.offsets[codes]
    lengths = part.lengths()
    inside = positions < sequences.lengths()[codes]
    right = inside & (lengths == np.minimum(positions, cut))
    at = np.minimum(starts + positions, len(sequences.items) - 1)
    right &= sequences.items[at] == part.targets
    row_of = np.repeat(np.arange(len(part)), lengths)
    within = np.arange(len(part.items)) - part.offsets[row_of]
    source = np.clip(starts[row_of] + (positions - lengths)[row_of] + within, 0, len(sequences.items) - 1)
    wrong_items = sequences.items[source] != part.items
    right &= np.bincount(row_of[wrong_items], minlength=len(part)) == 0
    if not right.all():
        row = int(np.argmin(right))
        raise DataError(
            f"{part.where(row)}: history and target of user {part.users[row]} contradict the user's longest "
            "row; every row has to be a prefix of the same sequence"
        )


def _check_leave_one_out(
    rows: list[Rows], codes: list[Ints], positions: list[Ints], names: list[str], sequences: Sequences
) -> None:
    for part, part_codes, part_positions, name in zip(rows, codes, positions, names, strict=True):
        last = sequences.lengths()[part_codes] - 1
        right = part_positions <= last - 2 if name == "train" else part_positions == last - (name == "valid")
        if not right.all():
            row = int(np.argmin(right))
            place = {"train": "before the last two", "valid": "the last but one", "test": "the last"}[name]
            raise DataError(
                f"{part.where(row)}: the target of user {part.users[row]} is item "
                f"{part_positions[row] + 1} of {last[row] + 1}, but a {name} target has to be {place}"
            )
