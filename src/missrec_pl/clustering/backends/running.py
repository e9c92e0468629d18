"""Running lists of the smallest entries of each row, fed with blocks of a matrix that is never whole."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.clustering.backends.search import GROUP, group_minimum, smallest_of_block
from missrec_pl.system.processes import Share

_CROWDED = 0.2
"""Share of a block's entries past which merging all of it beats picking the entries that matter."""

_MERGED_ROWS = 1 << 16
"""Rows whose lists are exchanged at once: 17 MB a process for 22 entries each."""


class RunningSmallest:
    """The `count` smallest entries seen so far of each of N rows, rising.

    Once a row's list is full, hardly any entry of a new block is smaller than its last one. A minimum over each
    group of 16 columns rules out nearly all of them, and only the rest is gathered and merged.
    """

    def __init__(self, rows: int, count: int, device: torch.device) -> None:
        self.count = count
        self.values: Float[Tensor, "N c"] = torch.full((rows, count), torch.inf, device=device)
        self.index: Int64[Tensor, "N c"] = torch.zeros((rows, count), dtype=torch.int64, device=device)

    def update(self, buffer: Float[Tensor, " E"], block: Float[Tensor, "R C"], row: int, column: int) -> None:
        """Take in a block `[R, C]`, C a multiple of 16, that begins at `row` and `column`.

        `buffer` is the memory that `block` is a view of: a matrix from its start, or that matrix transposed.
        """
        rows = slice(row, row + len(block))
        threshold = self.values[rows, -1]
        group_hit = (group_minimum(block) < threshold[:, None]).nonzero()
        if len(group_hit) * GROUP > _CROWDED * block.numel():
            values, place = smallest_of_block(block, self.count)
            self._merge(torch.arange(len(block), device=block.device), values, place + column, row)
            return
        at, group = group_hit.unbind(1)
        member = torch.arange(GROUP, device=block.device) * (block.shape[1] // GROUP)
        place = group[:, None] + member
        entry = at[:, None] * block.stride(0) + place * block.stride(1)
        values = buffer.index_select(0, entry.flatten()).view_as(entry)
        hit, which = (values < threshold.index_select(0, at)[:, None]).nonzero().unbind(1)
        if len(hit):
            self._merge(*_padded(at[hit], values[hit, which], place[hit, which] + column), row)

    def merge_shares(self, share: Share) -> None:
        """Merge the lists of all processes, each fed with other blocks; a part of the rows at a time."""
        if share.count == 1:
            return
        for start in range(0, len(self.values), _MERGED_ROWS):
            rows = slice(start, start + _MERGED_ROWS)
            values, order = torch.cat(share.collect(self.values[rows]), 1).topk(self.count, dim=1, largest=False)
            self.values[rows] = values
            self.index[rows] = torch.cat(share.collect(self.index[rows]), 1).gather(1, order)

    def _merge(self, at: Tensor, values: Tensor, index: Tensor, row: int) -> None:
        target = at + row
        values = torch.cat([self.values.index_select(0, target), values], 1)
        values, order = values.topk(self.count, dim=1, largest=False)
        self.values[target] = values
        self.index[target] = torch.cat([self.index.index_select(0, target), index], 1).gather(1, order)


class Farthest:
    """The largest entry seen so far of a matrix that is never whole, and its place; the first of equal ones."""

    def __init__(self, device: torch.device) -> None:
        self._value = -torch.inf
        self._place = (0, 0)
        self._device = device

    def update(self, block: Float[Tensor, "R C"], row: int, column: int) -> None:
        """Take in a block whose first entry lies at `row` and `column`."""
        largest = float(block.amax())
        if largest < self._value:
            return
        at, across = divmod(int(block.argmax()), block.shape[1])
        place = (row + at, column + across)
        if largest > self._value or place < self._place:
            self._value, self._place = largest, place

    def of_all(self, share: Share) -> tuple[int, int]:
        """Return the place of the largest entry that any process saw."""
        place = torch.tensor(self._place, device=self._device)
        value = torch.tensor([self._value], dtype=torch.float64, device=self._device)
        seen = zip(share.collect(value), share.collect(place), strict=True)
        first = min((-float(largest), int(at[0]), int(at[1])) for largest, at in seen)
        return first[1], first[2]


def _padded(at: Tensor, values: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lay out entries, sorted by row, as one padded line for each row that occurs."""
    rows, line, count = torch.unique_consecutive(at, return_inverse=True, return_counts=True)
    slot = torch.arange(len(at), device=at.device) - (count.cumsum(0) - count)[line]
    shape = (len(rows), int(count.max()))
    padded_values = torch.full(shape, torch.inf, dtype=values.dtype, device=at.device)
    padded_index = torch.zeros(shape, dtype=torch.int64, device=at.device)
    padded_values[line, slot] = values
    padded_index[line, slot] = index
    return rows, padded_values, padded_index
