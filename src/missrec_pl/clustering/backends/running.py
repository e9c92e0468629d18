"""Running lists of the smallest entries of each row, fed with blocks of a matrix that is never whole.

A row keeps every entry that does not exceed its threshold, a value that at least `count` entries are known not to
exceed. No block is sorted: thresholds come from minima of groups of columns, later from halving the range of what
is kept. When they are lowered is decided by the number of columns seen, not by values, so that with fixed shapes
(`system/shapes.py`) nothing waits for a GPU. Columns have to come in random order.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from missrec_pl.clustering.backends.search import GROUP, group_minimum
from missrec_pl.system.processes import Share
from missrec_pl.system.shapes import are_fixed

ROOM = 96
"""Places of a row beyond three times `count`: more are rarely filled, fewer have to be emptied more often."""
_FULL = 0.45
"""Share of the places that is expected to be filled at most; rows differ by a fifth of it (standard deviation)."""
_HALVINGS = 6
_MANY = 6
"""Entries of a row that a block adds, past which half as large groups cost less: their members are gathered."""
_LARGEST = torch.finfo(torch.float32).max
"""The threshold of rows without any: infinite entries do not pass."""
_MERGED_ROWS = 1 << 16
"""Rows whose lists are exchanged at once: 17 MB a process for 22 entries each."""


class Smallest(NamedTuple):
    """The smallest entries of rows.

    Attributes:
        values: `[R, c]`, rising; infinite where there are no more.
        columns: `[R, c]` where they stand.
        rest: `[R]` no other entry is smaller than this.
    """

    values: Float[Tensor, "R c"]
    columns: Int64[Tensor, "R c"]
    rest: Float[Tensor, " R"]


class Expected:
    """How many places of a tile's rows are filled, on average, and what share of further columns is kept."""

    def __init__(self) -> None:
        self.seen, self.load, self.rate = 0, 0.0, 1.0


class RunningSmallest:
    """The `count` smallest entries seen so far of each of N rows; `tile` columns, at most, come at a time."""

    def __init__(self, rows: int, count: int, tile: int, device: torch.device) -> None:
        self.count, self.size = count, ROOM + 3 * count
        self.group = next(size for size in (GROUP, 8, 4, 2, 1) if size == 1 or tile // size >= 1.5 * count)
        self.threshold: Float[Tensor, " N"] = torch.full((rows,), _LARGEST, device=device)
        self.lost: Float[Tensor, " N"] = torch.full((rows,), torch.inf, device=device)
        self.fill: Int64[Tensor, " N"] = torch.zeros(rows, dtype=torch.int64, device=device)
        # One more place takes what finds none; it is never read.
        self.values: Float[Tensor, "N s"] = torch.full((rows, self.size + 1), torch.inf, device=device)
        self.index = torch.zeros((rows, self.size + 1), dtype=torch.int32, device=device)
        self._expected: dict[int, Expected] = {}

    @staticmethod
    def suits(count: int, tile: int) -> bool:
        """Whether blocks of `tile` columns have minima enough for a threshold."""
        return tile >= 1.5 * count

    def update(self, buffer: Float[Tensor, " E"], block: Float[Tensor, "R C"], row: int, column: int) -> None:
        """Take in a block `[R, C]`, C a multiple of 16, that begins at `row` and `column`.

        `buffer` is the memory that `block` is a view of: a matrix from its start, or that matrix transposed.
        """
        rows = slice(row, row + len(block))
        expected, lowers, most = self._make_room(rows, block.shape[1])
        size = min(self.group, 8) if expected.rate * block.shape[1] > _MANY else self.group
        minimum = group_minimum(block, size)
        limit, is_near = self._near(rows, minimum, lowers)
        lost = self.lost[rows]
        at, group, is_real, is_whole = _listed(is_near, most)
        if is_whole is not None:
            lost.masked_fill_(~is_whole, -torch.inf)
        step = block.shape[1] // size  # from one member of a group to the next
        members = torch.arange(size, device=block.device) * (step * block.stride(1))
        entry = (at * block.stride(0) + group * block.stride(1))[:, None] + members
        values = buffer.index_select(0, entry.flatten()).view_as(entry)
        is_hit = values <= limit.index_select(0, at)[:, None]
        if is_whole is not None:
            is_hit &= is_real[:, None]
        line, which, is_real, is_whole = _listed(is_hit, most)
        if is_whole is not None:
            lost.scatter_reduce_(0, at, torch.where(is_whole, torch.inf, -torch.inf), "amin")
        values = values.flatten().index_select(0, line * size + which)
        place = group.index_select(0, line) + which * step + column
        self._append(row, len(block), at.index_select(0, line), values, place, is_real)

    def finish(self, share: Share) -> Smallest:
        """The lists of all rows; of all processes, each fed with other blocks. Nothing can be added afterwards."""
        parts = [self._finished(slice(row, row + 2048)) for row in range(0, len(self.fill), 2048)]
        self.values, self.index = self.values[:0], self.index[:0]
        lists = Smallest(*(torch.cat(column) for column in zip(*parts, strict=True)))
        if share.count == 1:
            return lists
        for start in range(0, len(lists.values), _MERGED_ROWS):
            values, index, rest = (part[start : start + _MERGED_ROWS] for part in lists)
            merged, order = torch.cat(share.collect(values), 1).topk(self.count, dim=1, largest=False)
            index.copy_(torch.cat(share.collect(index), 1).gather(1, order))
            values.copy_(merged)
            rest.copy_(torch.stack(share.collect(rest)).amin(0))
        return lists

    def _finished(self, rows: slice) -> Smallest:
        self._compact(rows, halvings=8)
        width = max(self.count, int(self.fill[rows].max()))
        values, order = self.values[rows, :width].topk(self.count, dim=1, largest=False)
        unset = self.threshold[rows] == _LARGEST
        rest = torch.minimum(self.lost[rows], self.threshold[rows].masked_fill(unset, torch.inf))
        return Smallest(values, self.index[rows, :width].gather(1, order).long(), rest)

    def _make_room(self, rows: slice, columns: int) -> tuple[Expected, bool, int | None]:
        """Make room for a block; whether it lowers thresholds, how many entries are looked at (None: all hits)."""
        expected = self._expected.setdefault(rows.start, Expected())
        most = _FULL * self.size
        if expected.load and expected.load + expected.rate * columns > most:
            self._compact(rows, _HALVINGS)
            expected.rate = min(1.0, 1.2 * self.count / expected.seen)
            expected.load = expected.rate * expected.seen
        lowers = expected.load + expected.rate * columns > most and columns // self.group >= self.count
        if lowers:
            expected.rate = min(expected.rate, 1.6 * self.count / columns)
        kept = expected.rate * columns
        expected.seen, expected.load = expected.seen + columns, expected.load + kept
        height = rows.stop - rows.start
        most = min(height * columns, int(height * (1.5 * kept + 4)))
        return expected, lowers, most if are_fixed(self.fill.device) else None

    def _near(
        self, rows: slice, minimum: Float[Tensor, "R G"], lowers: bool
    ) -> tuple[Float[Tensor, " R"], Bool[Tensor, "R G"]]:
        """The largest value that each row takes in, and the groups that hold such; thresholds are lowered first.

        A new threshold itself is taken in, from `count` groups at most: copies of one token tie by thousands.
        """
        below = torch.full_like(self.threshold[rows], -torch.inf)
        limit = torch.nextafter(self.threshold[rows], below)
        if not lowers:
            return limit, minimum <= limit[:, None]
        lowest = self._of_groups(minimum)
        limit = torch.where(lowest < self.threshold[rows], lowest, limit)
        self.threshold[rows] = torch.minimum(self.threshold[rows], lowest)
        ties = torch.eq(minimum, self.threshold[rows, None], out=torch.empty_like(minimum)).cumsum(1)
        return limit, (minimum < self.threshold[rows, None]) | ((minimum == limit[:, None]) & (ties <= self.count))

    def _of_groups(self, minimum: Float[Tensor, "R G"]) -> Float[Tensor, " R"]:
        """The `count`-th smallest minimum, of groups as large as leave half more of them than that."""
        joined = max(1, int(minimum.shape[1] // (1.5 * self.count)))
        padded = torch.nn.functional.pad(minimum, (0, -minimum.shape[1] % joined), value=torch.inf)
        smallest = padded.view(len(minimum), -1, joined).amin(2).topk(self.count, dim=1, largest=False).values
        return smallest[:, -1]

    def _append(
        self, row: int, height: int, at: Tensor, values: Tensor, index: Tensor, is_real: Tensor, tries: int = 4
    ) -> None:
        """Write entries, sorted by row, behind those that are there; make place for the rest, or keep its least.

        With fixed shapes no place is made, for that takes waiting.
        """
        rows = slice(row, row + height)
        added = torch.zeros_like(self.fill[rows]).scatter_add_(0, at, is_real.long())
        first = self.fill[rows] - (added.cumsum(0) - added)
        slot = first.index_select(0, at) + torch.arange(len(at), device=at.device)
        has_place = is_real & (slot < self.size)
        cell = (at + row) * (self.size + 1) + torch.where(has_place, slot, self.size)
        self.values.view(-1).scatter_(0, cell, values)
        self.index.view(-1).scatter_(0, cell, index.int())
        self.fill[rows] = (self.fill[rows] + added).clamp_(max=self.size)
        if are_fixed(at.device) or tries == 0:
            self.lost[rows].scatter_reduce_(0, at, values.masked_fill(has_place | ~is_real, torch.inf), "amin")
        elif not has_place.all():
            self._compact(rows, _HALVINGS)
            is_left = ~has_place & (values < self.threshold[rows].index_select(0, at))
            at, values, index, is_real = (part[is_left] for part in (at, values, index, is_real))
            self._append(row, height, at, values, index, is_real, tries - 1)

    def _compact(self, rows: slice, halvings: int) -> None:
        """Lower thresholds to an entry about the `count`-th smallest; drop what exceeds them, and more ties.

        Conditions are floats here: torch sums those ten times as fast as bools (CPU).
        """
        used = self.size if are_fixed(self.fill.device) else max(self.count, int(self.fill[rows].max()))
        kept, places = self.values[rows, :used].clone(), self.index[rows, :used].clone()
        finite, flags = torch.nan_to_num(kept, posinf=-torch.inf), torch.empty_like(kept)
        low, high = kept.amin(1), finite.amax(1)
        for _ in range(halvings):
            middle = (low + high) / 2
            is_enough = torch.le(kept, middle[:, None], out=flags).sum(1) >= self.count
            low, high = torch.where(is_enough, low, middle), torch.where(is_enough, middle, high)
        finite -= torch.gt(kept, high[:, None], out=flags).mul_(_LARGEST)
        threshold = torch.where(self.fill[rows] < self.count, self.threshold[rows], finite.amax(1))
        is_tie = torch.eq(kept, threshold[:, None], out=finite)
        is_in = torch.lt(kept, threshold[:, None], out=flags)
        room = self.count - is_in.sum(1, keepdim=True)
        is_in += is_tie.mul_(is_tie.cumsum(1) <= room)
        place = is_in.cumsum(1)
        self.threshold[rows], self.fill[rows] = threshold, place[:, -1].long()
        slot = place.sub_(self.size + 1).mul_(is_in).add_(self.size).long()
        self.index[rows].scatter_(1, slot, places)
        self.values[rows].fill_(torch.inf).scatter_(1, slot, kept)


def _listed(
    mask: Bool[Tensor, "R W"], most: int | None
) -> tuple[Int64[Tensor, " S"], Int64[Tensor, " S"], Bool[Tensor, " S"], Bool[Tensor, " R"] | None]:
    """Rows and columns of what is True, row by row, what of it is no filler, and which rows are listed whole.

    All of it (None: as are all rows) or, without asking how much there is, the first `most`.
    """
    width = mask.shape[1]
    if most is None:
        at, across = mask.nonzero().unbind(1)
        return at, across, torch.ones_like(at, dtype=torch.bool), None
    ending = mask.sum(1).cumsum(0)
    flat = mask.flatten()
    slot = torch.where(flat, flat.cumsum(0) - 1, most).clamp_(max=most)
    every = torch.arange(len(flat), device=mask.device)
    number = torch.zeros(most + 1, dtype=torch.int64, device=mask.device).scatter_(0, slot, every)[:most]
    is_real = torch.arange(most, device=mask.device) < ending[-1]
    return torch.div(number, width, rounding_mode="floor"), number % width, is_real, ending <= most
