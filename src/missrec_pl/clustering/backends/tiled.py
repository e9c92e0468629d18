"""Blocked matrix products with running top-k lists: no compiler, any device, O(N k) memory."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import Neighbors, PairwiseReductions, first_of_equal, squared_distances
from missrec_pl.clustering.backends.running import RunningSmallest, Smallest
from missrec_pl.clustering.backends.search import GROUP, SPARE, ExactSearch, Found, Scope, keep_nearest
from missrec_pl.system.processes import Share

_TILE = {"cpu": 2048, "cuda": 8192}
"""Side of a block; in float32 16 MB on CPU (products are at full speed from 1,024) and 256 MB on a GPU."""
_FIRST = 2
"""Of the spare candidates so many are looked at first; in a thousand rows about one needs more."""
_DIRECT_ELEMENTS = 1 << 22


class TiledReductions(PairwiseReductions):
    """Reductions by blocked matrix products, with candidates proven and distances recomputed exactly.

    `tile` is the side of a block, a multiple of 16 (None: by device).
    """

    name = "tiled"

    def __init__(self, tokens: Float[Tensor, "N D"], tile: int | None = None) -> None:
        self._tile = tile or _TILE.get(tokens.device.type, 2048)
        self.search = ExactSearch(tokens, _TILE.get(tokens.device.type, 2048))
        self._farthest: float | None = None

    def k_smallest(self, k: int, share: Share) -> Neighbors:
        """Sweep the upper triangle of blocks once, its pairs shared out; then prove each row's candidates."""
        search = self.search
        total = len(search.tokens)
        count = min(k + SPARE, total - 1)
        mine = search.every[share.rows(total)]
        if RunningSmallest.suits(count, self._tile):
            lists = self._sweep(count, share).finish(share)
            parts = [self._proven(rows, k, lists) for rows in torch.split(mine, self._tile)]
            found = Found(*(torch.cat(column) for column in zip(*parts, strict=True)))
            found = search.redo_unproven(mine, k, Scope(search.every), found)
        else:
            found = search.nearest(mine, k, Scope(search.every))
        return Neighbors(*(share.gather(part, total) for part in (found.squared_distance, found.place)))

    def _proven(self, rows: Int64[Tensor, " R"], k: int, lists: Smallest) -> Found:
        """The k nearest of some tokens' candidates; of all of them where the first prove too little."""
        found = self._proven_by(rows, k, k + _FIRST, lists)
        doubtful = (~found.proven).nonzero()[:, 0]
        if len(doubtful):
            again = self._proven_by(rows[doubtful], k, lists.values.shape[1], lists)
            for whole, part in zip(found, again, strict=True):
                whole[doubtful] = part
        return found

    def _proven_by(self, rows: Int64[Tensor, " R"], k: int, count: int, lists: Smallest) -> Found:
        places = self.search.place[rows]
        values, index = lists.values[places, :count], self.search.order[lists.columns[places, :count]]
        is_complete = values.shape[1] == len(self.search.tokens) - 1
        threshold = lists.rest[places] if is_complete else torch.minimum(lists.rest[places], values[:, -1])
        squared = squared_distances(self.search.tokens, rows, index).masked_fill_(values == torch.inf, torch.inf)
        return keep_nearest(squared, index, self.search.lower_bound(rows, threshold, torch.float32), k)

    def largest(self, share: Share) -> float:
        """Return the largest squared distance; seen by the first pass, or by a pass for it alone."""
        if self._farthest is None:
            self._sweep(0, share)
        assert self._farthest is not None, "found by every pass"
        return self._farthest

    def nearest_denser(self, rank: Int64[Tensor, " N"], queries: Int64[Tensor, " Q"]) -> Float64[Tensor, " Q"]:
        """Search in the order of density: a query of rank r looks through the first r tokens."""
        by_rank = rank[queries].argsort()
        scope = Scope(rank.argsort(), limit=rank[queries][by_rank])
        squared = torch.empty(len(queries), dtype=torch.float64, device=rank.device)
        squared[by_rank] = self._nearest(queries[by_rank], 1, scope).squared_distance[:, 0]
        return squared

    def nearest_center(self, centers: Int64[Tensor, " K"], queries: Int64[Tensor, " Q"]) -> Int64[Tensor, " Q"]:
        """Search among the centres that differ; where several tie, compare all of them."""
        distinct = first_of_equal(self.search.tokens, centers)
        scope = Scope(centers[distinct], with_self=True)
        found = self._nearest(queries, 1, scope)
        nearest = found.place[:, 0]
        tied = (~found.proven).nonzero()[:, 0]
        for rows in torch.split(tied, max(1, _DIRECT_ELEMENTS // len(distinct))):
            columns = scope.columns.expand(len(rows), -1)
            nearest[rows] = squared_distances(self.search.tokens, queries[rows], columns).argmin(1)
        return distinct[nearest]

    def _nearest(self, queries: Int64[Tensor, " Q"], keep: int, scope: Scope) -> Found:
        return self.search.nearest(queries, keep, scope)

    def _sweep(self, count: int, share: Share) -> RunningSmallest:
        """Visit each pair of blocks once, for its rows and its columns, without waiting for what is found."""
        centered, norms = self.search.centered, self.search.norms
        total, padded = len(self.search.tokens), len(centered)
        tiles = -(-padded // self._tile)
        tile = -(-padded // (tiles * GROUP)) * GROUP  # nearly equal ones
        starts = range(0, padded, tile)
        lists = RunningSmallest(padded if count else 0, count, tile, centered.device)
        memory = centered.new_empty(min(tile, padded) ** 2)
        pairs = [pair for offset in range(len(starts)) for pair in zip(starts, starts[offset:], strict=False)]
        farthest = torch.full((len(pairs), 2), -torch.inf, dtype=torch.float64, device=centered.device)
        for number in range(share.index, len(pairs), share.count):
            left, right = pairs[number]
            rows, columns = slice(left, left + tile), slice(right, right + tile)
            shape = (len(norms[rows]), len(norms[columns]))
            buffer = memory[: shape[0] * shape[1]]
            block = buffer.view(shape)
            torch.addmm(norms[columns], centered[rows], centered[columns].T, alpha=-2, out=block)
            block.add_(norms[rows, None])
            farthest[number] = torch.stack(block[: total - left, : total - right].amax(1).max(0)).double()
            if not count:
                continue
            if left == right:
                block.fill_diagonal_(torch.inf)
            else:
                lists.update(buffer, block.T, right, left)
            lists.update(buffer, block, left, right)
        farthest = torch.stack(share.collect(farthest)).amax(0)
        number = int(farthest[:, 0].argmax())
        one = self.search.order[pairs[number][0] + int(farthest[number, 1])]
        others = self.search.order[pairs[number][1] :][:tile]
        self._farthest = float(squared_distances(self.search.tokens, one[None], others[None]).amax())
        return lists
