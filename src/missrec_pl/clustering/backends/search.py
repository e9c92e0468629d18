"""Exact nearest-token search by matrix products: find in float32, prove, redo the rest in float64.

The expansion |x|^2 + |y|^2 - 2<x, y> is fast but loses digits where distances are small beside norms. So a
search takes a few more candidates than it needs and recomputes their distances exactly. A row is proven if no
token outside its candidates can be nearer, whatever the rounding. The other rows are searched in float64.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import pick_smallest, scale_of, squared_distances

SPARE = 6
"""Candidates taken beyond those needed: room for float32 to swap neighbours of nearly equal distance."""
GROUP = 16
"""Columns that share one minimum in the first stage of a top-k."""


class Scope(NamedTuple):
    """What one search looks through.

    Attributes:
        columns: `[C]` distinct token numbers.
        limit: `[Q]` how many leading columns each query may see, or None for all.
        with_self: whether a query may find its own column.
    """

    columns: Int64[Tensor, " C"]
    limit: Int64[Tensor, " Q"] | None = None
    with_self: bool = False

    @property
    def hides_self(self) -> bool:
        """Whether a query's own column has to be looked for and left out."""
        return not self.with_self and self.limit is None

    def of(self, queries: Tensor | slice) -> "Scope":
        """The same for some of the queries."""
        return self if self.limit is None else self._replace(limit=self.limit[queries])


class Found(NamedTuple):
    """Nearest tokens of some queries.

    Attributes:
        squared_distance: `[Q, k]` float64, rising.
        place: `[Q, k]` places in the scope's columns; of equally distant ones the lowest comes first.
        proven: `[Q]`, True where no other token can be nearer; elsewhere another may be as near, up to
            float64 rounding.
    """

    squared_distance: Float64[Tensor, "Q k"]
    place: Int64[Tensor, "Q k"]
    proven: Tensor


def keep_nearest(
    squared: Float64[Tensor, "Q c"], places: Int64[Tensor, "Q c"], bound: Float64[Tensor, " Q"], keep: int
) -> Found:
    """Keep the nearest candidates: proven where no other token, all at least `bound` away, is nearer."""
    squared, places = pick_smallest(squared, places, keep)
    last = squared[:, -1]
    return Found(squared, places, (last <= bound) | (last == 0))


def grouped(block: Float[Tensor, "R C"], size: int = GROUP) -> Float[Tensor, "R s G"]:
    """View columns as `[R, size, C / size]`: group g holds columns g, g + C/size, g + 2C/size, ..."""
    groups = block.shape[1] // size
    row, column = block.stride()
    return block.as_strided((len(block), size, groups), (row, column * groups, column), block.storage_offset())


def group_minimum(block: Float[Tensor, "R C"], size: int = GROUP) -> Float[Tensor, "R G"]:
    """Take each group's minimum; a transposed block is reduced in memory order, 40 times faster."""
    if block.stride(1) == 1:
        return grouped(block, size).amin(1)
    return block.T.reshape(size, -1, len(block)).amin(0).T.contiguous()


def smallest_of_block(block: Float[Tensor, "R C"], count: int) -> tuple[Tensor, Tensor]:
    """Top-k in two stages: the `count` smallest lie in the `count` groups of columns of smallest minimum."""
    rows, columns = block.shape
    groups = columns // GROUP
    if columns % GROUP or groups <= count:
        smallest = block.topk(min(count, columns), dim=1, largest=False)
        return smallest.values, smallest.indices
    members = grouped(block)
    nearest = group_minimum(block).topk(count, dim=1, largest=False, sorted=False).indices
    values = members.gather(2, nearest[:, None, :].expand(rows, GROUP, count)).flatten(1)
    values, place = values.topk(count, dim=1, largest=False)
    return values, torch.div(place, count, rounding_mode="floor") * groups + nearest.gather(1, place % count)


def _seen(scope: Scope, tiles: list[slice]) -> list[tuple[int, int]]:
    """How many leading columns some query, and every query, of each tile may see; asked of the device once."""
    if scope.limit is None:
        return [(len(scope.columns), len(scope.columns))] * len(tiles)
    ends = [torch.stack([scope.limit[tile].amax(), scope.limit[tile].amin()]) for tile in tiles]
    return [(most, least) for most, least in torch.stack(ends).tolist()]


class ExactSearch:
    """Searches among tokens `[N, D]`, in tiles of `tile` rows and columns.

    Attributes:
        centered: `[N', D]` float32 tokens less their mean, scaled, in random order, padded to a multiple of 16.
        norms: `[N']` their squared norms; padding is infinitely far.
        order: `[N]` the tokens of the rows of ``centered``.
        place: `[N]` the rows of the tokens.
    """

    def __init__(self, tokens: Float[Tensor, "N D"], tile: int) -> None:
        self.tokens, self.tile = tokens, tile
        self.every = torch.arange(len(tokens), device=tokens.device)
        # In random order, so that what a search meets early says how near what it meets later will be.
        self.order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(0)).to(tokens.device)
        self.place = torch.empty_like(self.order).scatter_(0, self.order, self.every)
        mean = tokens.mean(0, dtype=torch.float64)
        self.scale = scale_of(tokens) / 2
        padded = -(-len(tokens) // GROUP) * GROUP
        self.centered = tokens.new_zeros(padded, tokens.shape[1], dtype=torch.float32)
        for start in range(0, len(tokens), tile):
            part = (tokens[self.order[start : start + tile]].double() - mean) * self.scale
            self.centered[start : start + len(part)] = part
        self.norms = self.centered.square().sum(1)
        self.norms[len(tokens) :] = torch.inf
        self._mean = mean

    def lower_bound(
        self, rows: Int64[Tensor, " R"], threshold: Float[Tensor, " R"], dtype: torch.dtype
    ) -> Float64[Tensor, " R"]:
        """Return a squared distance that every token beyond a query's candidates exceeds.

        With |y| <= 2 |x| the expansion errs by at most 2 g (|x|^2 + |y|^2) <= 10 g |x|^2; a longer y is at
        least |y| / 2 away, so that it errs by at most 10 g d^2. g is twelve standard deviations of a random
        walk of D rounding errors in `dtype`. `threshold` is the squared distance of each query's last
        candidate, as expanded from scaled tokens.
        """
        unit = torch.finfo(dtype).eps / 2
        error = 10 * unit * (4 * self.tokens.shape[1] ** 0.5 + 8)
        bound = (
            threshold.double() - error * (self.norms[self.place[rows]].double() + threshold.abs().double())
        ) / self.scale**2
        return torch.where(threshold == torch.inf, torch.inf, bound)

    def nearest(self, queries: Int64[Tensor, " Q"], keep: int, scope: Scope) -> Found:
        """Find each query's `keep` nearest columns; entries beyond those it may see are infinitely far."""
        return self.redo_unproven(queries, keep, scope, self._search(queries, keep, scope, torch.float32))

    def redo_unproven(self, queries: Int64[Tensor, " Q"], keep: int, scope: Scope, found: Found) -> Found:
        """Search again in float64 for the rows that are not proven, in place."""
        doubtful = (~found.proven).nonzero()[:, 0]
        if len(doubtful):
            again = self._search(queries[doubtful], keep, scope.of(doubtful), torch.float64)
            for whole, part in zip(found, again, strict=True):
                whole[doubtful] = part
        return found

    def _search(self, queries: Int64[Tensor, " Q"], keep: int, scope: Scope, dtype: torch.dtype) -> Found:
        tiles = [slice(start, start + self.tile) for start in range(0, max(1, len(queries)), self.tile)]
        seen = _seen(scope, tiles)
        parts = [
            self._search_block(queries[tile], keep, scope.of(tile), dtype, *one)
            for tile, one in zip(tiles, seen, strict=True)
        ]
        return Found(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def _search_block(
        self, rows: Int64[Tensor, " R"], keep: int, scope: Scope, dtype: torch.dtype, visible: int, common: int
    ) -> Found:
        count = min(keep + SPARE, visible)
        values, places = self._candidates(rows, count, visible, common, scope, dtype)
        threshold = values[:, -1] if count < visible else torch.full_like(values[:, -1], torch.inf)
        bound = self.lower_bound(rows, threshold, dtype)
        squared = squared_distances(self.tokens, rows, scope.columns[places])
        return keep_nearest(squared.masked_fill_(values == torch.inf, torch.inf), places, bound, keep)

    def _candidates(
        self, rows: Tensor, count: int, visible: int, common: int, scope: Scope, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        values = torch.full((len(rows), count), torch.inf, dtype=dtype, device=rows.device)
        places = torch.zeros((len(rows), count), dtype=torch.int64, device=rows.device)
        left, left_norms = self._gather(rows, dtype)
        for start in range(0, visible, self.tile):
            columns = scope.columns[start : min(start + self.tile, visible)]
            right, right_norms = self._gather(columns, dtype)
            block = torch.addmm(right_norms, left, right.T, alpha=-2).add_(left_norms[:, None])
            if scope.limit is not None and start + len(columns) > common:
                place = torch.arange(start, start + len(columns), device=rows.device)
                block.masked_fill_(place >= scope.limit[:, None], torch.inf)
            if scope.hides_self:
                block.masked_fill_(columns == rows[:, None], torch.inf)
            found, place = smallest_of_block(block, count)
            values, order = torch.cat([values, found], 1).topk(count, dim=1, largest=False)
            places = torch.cat([places, place + start], 1).gather(1, order)
        return values, places

    def _gather(self, tokens: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        if dtype is torch.float32:
            places = self.place[tokens]
            return self.centered.index_select(0, places), self.norms[places]
        centered = self.tokens.index_select(0, tokens).double().sub_(self._mean).mul_(self.scale)
        return centered, centered.square().sum(1)
