"""Symbolic pairwise matrices by KeOps: compiled once per formula and width, then cached on disk."""

import contextlib
import io
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import Neighbors, scale_of, squared_distances
from missrec_pl.clustering.backends.search import SPARE, Found, Scope, keep_nearest
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.errors import ConfigError
from missrec_pl.system.keops_trial import missing_compiler as missing_compiler
from missrec_pl.system.processes import Share

_SMALLEST_LIST = 16
"""List lengths are powers of two from here on, because each length is another formula to compile."""
_MOST_TOKENS = 1 << 24
"""Ranks travel through KeOps as float32, which counts exactly up to here."""


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """Swallow the progress lines that KeOps prints while it is imported or compiles."""
    return contextlib.redirect_stdout(io.StringIO())


def _load_keops() -> Any:
    if problem := missing_compiler():
        raise ConfigError(f"backend=keops: {problem}; install one or choose backend=tiled, which needs none")
    with _quiet():
        import pykeops.torch

        pykeops.set_verbose(False)
    return pykeops.torch


class KeopsReductions(TiledReductions):
    """Reductions by KeOps LazyTensors; the largest distance by matrix products, which cost less.

    KeOps sums coordinate differences, so its float32 distances are good to a few parts in 10^6. It names
    candidates, whose distances are recomputed in float64. Rows where these prove nothing (ties) go through the
    exact search of the tiled backend.

    Args:
        tokens: `[N, D]`, at most 2^24 tokens.

    Raises:
        ConfigError: no compiler, or too many tokens.
    """

    name = "keops"

    def __init__(self, tokens: Float[Tensor, "N D"]) -> None:
        if len(tokens) >= _MOST_TOKENS:
            raise ConfigError(f"backend=keops counts to 2^24 tokens, found {len(tokens)}; choose backend=tiled")
        self._keops = _load_keops()
        super().__init__(tokens)
        self._points = (tokens * scale_of(tokens)).contiguous()
        unit = torch.finfo(tokens.dtype).eps / 2
        self._relative_error = 4 * (tokens.shape[1] + 8) * unit

    def prepare(self, k: int) -> None:
        """Compile the three reductions on a few tokens."""
        few = self.search.every[:2]
        self._reduce(few, few, k + 1 + SPARE, None)
        self._reduce(few, few, 1 + SPARE, None)
        self._reduce(few, few, 1 + SPARE, few)

    def k_smallest(self, k: int, share: Share) -> Neighbors:
        """Reduce the pairwise distances to each row's nearest, itself included, and drop it."""
        every = self.search.every
        found = self._nearest(every[share.rows(len(every))], k, Scope(every))
        return Neighbors(*(share.gather(part, len(every)) for part in (found.squared_distance, found.place)))

    def _nearest(self, queries: Int64[Tensor, " Q"], keep: int, scope: Scope) -> Found:
        """Recompute the candidates' distances; search again, exactly, where the farthest one proves nothing."""
        count = keep + SPARE + scope.hides_self
        places = self._reduce(queries, scope.columns, count, scope.limit)
        absent = places < 0 if scope.limit is None else (places < 0) | (places >= scope.limit[:, None])
        tokens = scope.columns[places.clamp(min=0)]
        hidden = absent | (tokens == queries[:, None]) if scope.hides_self else absent
        squared = squared_distances(self.search.tokens, queries, tokens)
        farthest = squared.masked_fill(hidden, -torch.inf).amax(1)
        # A row that has an empty slot lists all columns that it may see.
        bound = torch.where(absent.any(1), torch.inf, farthest * (1 - self._relative_error))
        found = keep_nearest(squared.masked_fill_(hidden, torch.inf), places, bound, keep)
        return self.search.redo_unproven(queries, keep, scope, found)

    def _reduce(
        self,
        rows: Int64[Tensor, " R"],
        columns: Int64[Tensor, " C"],
        count: int,
        below: Int64[Tensor, " R"] | None,
    ) -> Int64[Tensor, "R c"]:
        """Return the places of at least `count` nearest columns of each row, -1 where there are not so many.

        `below` is how many leading columns each row may see, or None for all.
        """
        length = max(_SMALLEST_LIST, 1 << (count - 1).bit_length())
        if len(rows) == 0:
            return rows.new_empty(0, length)
        x = self._lazy(self._points[rows][:, None])
        right = self._points[columns]
        if len(columns) < length:  # KeOps leaves slots undefined when there are fewer columns than slots
            far = right.new_full((length - len(columns), right.shape[1]), 1e3)
            right = torch.cat([right, far])
        distance = x.sqdist(self._lazy(right[None]))
        if below is not None:
            place = torch.arange(len(right), device=right.device, dtype=right.dtype)
            seen = self._lazy(below.to(right.dtype)[:, None, None]) - self._lazy(place[None, :, None])
            distance = (seen - 0.5).ifelse(distance, 1e9)
        device = {"device_id": right.device.index} if right.is_cuda else {}
        with _quiet():
            place = distance.argKmin(length, dim=1, **device)
        return torch.where(place < len(columns), place, -1)

    def _lazy(self, tensor: Tensor) -> Any:
        return self._keops.LazyTensor(tensor.contiguous())
