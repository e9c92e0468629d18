"""Symbolic pairwise matrices by KeOps: compiled once per formula and width, then cached on disk."""

import contextlib
import io
import os
import shutil
from typing import Any

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import (
    Neighbors,
    PairwiseReductions,
    first_of_equal,
    scale_of,
    squared_distances,
)
from missrec_pl.clustering.backends.search import SPARE, Found, Scope, keep_nearest
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.errors import ConfigError
from missrec_pl.system.processes import Share

_SMALLEST_LIST = 16
"""List lengths are powers of two from here on, because each length is another formula to compile."""
_MOST_TOKENS = 1 << 24
"""Ranks travel through KeOps as float32, which counts exactly up to here."""


def missing_compiler() -> str:
    """Say in one line why KeOps could not compile here; empty when it can."""
    named = os.environ.get("CXX")
    if (named and shutil.which(named)) or any(shutil.which(name) for name in ("g++", "clang++")):
        return ""
    return "no C++ compiler found (g++, or the one that CXX names)"


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


class KeopsReductions(PairwiseReductions):
    """Reductions by KeOps LazyTensors.

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
        self._exact = TiledReductions(tokens)
        self._tokens = tokens
        self._points = (tokens * scale_of(tokens)).contiguous()
        unit = torch.finfo(tokens.dtype).eps / 2
        self._relative_error = 4 * (tokens.shape[1] + 8) * unit

    def prepare(self, k: int) -> None:
        """Compile the three reductions on a few tokens."""
        few = self._exact.search.every[:2]
        self._nearest(few, few, k + 1 + SPARE, None)
        self._nearest(few, few, 1 + SPARE, None)
        self._nearest(few, few, 1 + SPARE, few)

    def k_smallest(self, k: int, share: Share) -> Neighbors:
        """Reduce the pairwise distances to each row's nearest, itself included, and drop it."""
        every = self._exact.search.every
        rows = every[share.rows(len(every))]
        candidates = self._nearest(rows, every, k + 1 + SPARE, None)
        absent = candidates < 0
        found = self._settle(rows, candidates, absent | (candidates == rows[:, None]), absent, k, Scope(every))
        return Neighbors(*(share.gather(part, len(every)) for part in (found.squared_distance, found.place)))

    def largest(self, share: Share) -> float:
        """Return the largest squared distance, by a pass of matrix products, cheaper than one of KeOps."""
        return self._exact.largest(share)

    def nearest_denser(self, rank: Int64[Tensor, " N"], queries: Int64[Tensor, " Q"]) -> Float64[Tensor, " Q"]:
        """Reduce over the tokens of lower rank."""
        scope = Scope(rank.argsort(), limit=rank[queries])
        candidates = self._nearest(queries, scope.columns, 1 + SPARE, scope.limit)
        hidden = (candidates < 0) | (candidates >= rank[queries, None])
        return self._settle(queries, candidates, hidden, hidden, 1, scope).squared_distance[:, 0]

    def nearest_center(self, centers: Int64[Tensor, " K"], queries: Int64[Tensor, " Q"]) -> Int64[Tensor, " Q"]:
        """Reduce over the centres that differ."""
        distinct = first_of_equal(self._tokens, centers)
        scope = Scope(centers[distinct], with_self=True)
        candidates = self._nearest(queries, scope.columns, 1 + SPARE, None)
        absent = candidates < 0
        found = self._settle(queries, candidates, absent, absent, 1, scope)
        return self._exact.positions_of(found, queries, centers, distinct)

    def _settle(
        self, queries: Tensor, candidates: Tensor, hidden: Tensor, absent: Tensor, keep: int, scope: Scope
    ) -> Found:
        """Recompute the candidates' distances; search again, exactly, where the farthest one proves nothing.

        Args:
            queries: `[Q]` token numbers.
            candidates: `[Q, c]` places in the scope's columns.
            hidden: `[Q, c]`, True for entries that are no answer.
            absent: `[Q, c]`, True for empty slots: a row that has one lists all columns that it may see.
            keep: answers wanted.
            scope: what the exact search would look through.
        """
        squared = squared_distances(self._tokens, queries, scope.columns[candidates.clamp(min=0)])
        farthest = squared.masked_fill(hidden, -torch.inf).amax(1)
        bound = torch.where(absent.any(1), torch.inf, farthest * (1 - self._relative_error))
        found = keep_nearest(squared.masked_fill_(hidden, torch.inf), candidates, bound, keep)
        return self._exact.search.redo_unproven(queries, keep, scope, found)

    def _nearest(self, rows: Tensor, columns: Tensor, count: int, below: Tensor | None) -> Tensor:
        """Return the places of at least `count` nearest columns of each row, -1 where there are not so many.

        `below` `[R]` is how many leading columns each row may see, or None for all.
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
