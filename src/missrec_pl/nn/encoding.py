"""Encoding a batch without work on padding, and picking the places that have a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.nn.contract import Histories, Items, Recommender, Users
from missrec_pl.system.precision import widened
from missrec_pl.system.shapes import are_fixed

_EVEN = 1.15  # a further group costs a round of calls: so much padding costs no more


def with_masked_place(histories: Histories) -> Histories:
    """Histories with one hidden place behind them, which a cloze network fills in; its time is the request's."""
    rows, place, times = F.pad(histories.rows, (0, 1)), histories.length[:, None], histories.times
    is_masked = torch.zeros_like(rows, dtype=torch.bool).scatter(1, place, True)
    if times is not None:
        times = F.pad(times, (0, 1)).scatter(1, place + 1, times.gather(1, place))
    return replace(histories, rows=rows, length=histories.length + 1, is_masked=is_masked, times=times)


class GroupedUsers:
    """Encoded users of a batch, in groups that are padded each for itself.

    Attributes:
        state: ``[R, D]`` a row a target, in the order of the targets, never in less than float32.
        last: ``[B, D]`` the state behind each history's last place.

    Args:
        groups: the users of each group, ``state [b, D]`` each.
        place: ``[B]`` where each row of the batch stands in the groups laid end to end; None: in their order.
        state: ``[R, D]`` where targets are picked at several places of a history; None: one a history.
    """

    def __init__(self, groups: Sequence[Users], place: Tensor | None = None, state: Tensor | None = None) -> None:
        self.groups = groups
        self._place = place
        self.last = self.each(lambda group: widened(group.state))
        self.state = self.last if state is None else state

    def each(self, of_group: Callable[[Users], Tensor]) -> Tensor:
        """``[B, ...]`` what a function makes of each group's users, in the order of the batch."""
        joined = torch.cat([of_group(group) for group in self.groups])
        return joined if self._place is None else joined[self._place]

    def split(self, count: int) -> list[GroupedUsers]:
        """The users of the first ``count`` histories, whose targets ``state`` is of, and the others."""
        (group,) = self.groups
        parts = [
            Users(group.state[rows], {name: tensor[rows] for name, tensor in group.extra.items()})
            for rows in (slice(count), slice(count, None))
        ]
        state = None if self.state is self.last else self.state
        return [GroupedUsers(parts[:1], state=state), GroupedUsers(parts[1:])]


def encode_users(
    network: Recommender,
    histories: Histories,
    items: Items,
    *,
    num_buckets: int = 1,
    places: Tensor | None = None,
) -> GroupedUsers:
    """Encode the histories in groups of similar length, each padded to its own longest row.

    The same rows and the same mathematics as one padded batch; only the order of dropout draws differs.

    Args:
        network: the network.
        histories: the histories.
        items: the encoded items that they refer to.
        num_buckets: number of groups; where shapes are fixed, rows are of like length, or for a network that
            depends on padding, the batch is taken as it is.
        places: ``[R]`` flat places ``b * L + p`` that have a target; None: the last place of each history.

    Raises:
        ConfigError: targets at several places, of a network that has one state a history.
    """
    count, width = histories.rows.shape
    is_one = network.depends_on_padding or are_fixed(histories.rows.device)
    if is_one or num_buckets <= 1 or count < 2 * num_buckets or _is_even(histories):
        parts, order = [(histories, network.encode_histories(histories, items))], None
    else:
        order, parts = histories.length.argsort(), []
        for rows in order.chunk(num_buckets):
            group = histories.cut(rows, int(histories.length[rows[-1]]))
            parts.append((group, network.encode_histories(group, items)))
    place = None if order is None else order.argsort()
    last = [_at_last_place(users, group.length) for group, users in parts]
    if places is None:
        return GroupedUsers(last, place)
    return GroupedUsers(last, place, _at_places([users.state for _, users in parts], place, places, width))


def may_join(first: Histories, second: Histories) -> bool:
    """Whether two views of the same histories can be encoded in one pass."""
    fields = ("is_masked", "times")
    return first.rows.shape == second.rows.shape and all(
        (getattr(first, name) is None) == (getattr(second, name) is None) for name in fields
    )


def encode_together(
    network: Recommender, views: Sequence[Histories], items: Sequence[Items], *, places: Tensor | None = None
) -> list[GroupedUsers]:
    """Encode two views of the same histories in one pass, where each kernel's launch costs more than its work.

    Args:
        network: the network.
        views: the two; see :func:`may_join`.
        items: the items that each refers to.
        places: as in :func:`encode_users`, of the first view.
    """
    (first, second), (table, other) = views, items
    rows = second.rows
    if other is not table:
        rows = rows + len(table.ids) * (rows != 0)
        table = type(table)(
            torch.cat([table.vectors, other.vectors]),
            torch.cat([table.ids, other.ids]),
            {name: torch.cat([tensor, other.extra[name]]) for name, tensor in table.extra.items()},
        )
    joined = Histories(
        torch.cat([first.rows, rows]),
        torch.cat([first.length, second.length]),
        None
        if first.is_masked is None or second.is_masked is None
        else torch.cat([first.is_masked, second.is_masked]),
        times=None if first.times is None or second.times is None else torch.cat([first.times, second.times]),
    )
    return encode_users(network, joined, table, places=places).split(len(first))


def _is_even(histories: Histories) -> bool:
    """Whether padding is a small share of all places."""
    return histories.rows.numel() <= _EVEN * int(histories.length.sum())


def _at_last_place(users: Users, length: Tensor) -> Users:
    if users.state.dim() == 2:
        return users
    last = (length - 1)[:, None, None].expand(-1, 1, users.state.shape[2])
    return replace(users, state=users.state.gather(1, last)[:, 0])


def _at_places(states: list[Tensor], place: Tensor | None, places: Tensor, width: int) -> Tensor:
    """``[R, D]`` states at flat places of the batch, out of groups of different widths."""
    if states[0].dim() == 2:
        raise ConfigError(
            "data.example: this network has one state a history, not one at every place; use data.example=prefix."
        )
    joined = torch.cat([widened(state).flatten(0, 1) for state in states])
    sizes = torch.cat([torch.full((len(state),), state.shape[1], device=places.device) for state in states])
    starts = sizes.cumsum(0) - sizes
    if place is not None:
        starts = starts[place]
    return joined[starts[places // width] + places % width]
