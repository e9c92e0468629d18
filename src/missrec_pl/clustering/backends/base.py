"""The interface of the backends, the exact arithmetic that they share, and the dense backend as reference.

A backend may find its candidates in any way and precision. The distances that it returns are always computed
here, in float64 from coordinate differences, so backends that find the same neighbours agree to the last bit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from missrec_pl.system.precision import exact_float32
from missrec_pl.system.processes import Share

_CHUNK_ELEMENTS = {"cpu": 1 << 18, "cuda": 1 << 26}
"""Coordinates held at once while distances are recomputed; on CPU 2 MB in float64, near the L2 cache."""


class Neighbors(NamedTuple):
    """The k nearest other tokens of every token, nearest first.

    Attributes:
        squared_distance: `[N, k]` float64.
        token: `[N, k]` token numbers; which of several equally distant tokens is listed is not defined.
    """

    squared_distance: Float64[Tensor, "N k"]
    token: Int64[Tensor, "N k"]


@runtime_checkable
class PairwiseReductions(Protocol):
    """The reductions over all pairs of N tokens that DPC-KNN needs."""

    name: str

    def prepare(self, k: int) -> None:
        """Compile what finding k neighbours needs, so that the other processes of a machine find it."""
        return

    def k_smallest(self, k: int, share: Share) -> Neighbors:
        """Find the k nearest others of every token, 1 <= k <= N - 1; each process does its share, all get all."""
        ...

    def largest(self, share: Share) -> float:
        """Return the largest squared distance between two tokens, to a relative 1e-5."""
        ...

    def nearest_denser(self, rank: Int64[Tensor, " N"], queries: Int64[Tensor, " Q"]) -> Float64[Tensor, " Q"]:
        """Return the squared distance of each query, none of rank 0, to the nearest token of lower rank.

        `rank` is every token's position in the order of falling density; 0 is the densest.
        """
        ...

    def nearest_center(self, centers: Int64[Tensor, " K"], queries: Int64[Tensor, " Q"]) -> Int64[Tensor, " Q"]:
        """Return the position in `centers` of each query's nearest centre, the lowest of equal ones."""
        ...


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """Switch off autograd and what lowers precision unasked; see :func:`exact_float32`."""
    with torch.no_grad(), exact_float32(device):
        yield


def squared_distances(
    tokens: Float[Tensor, "N D"], rows: Int64[Tensor, " R"], columns: Int64[Tensor, "R C"]
) -> Float64[Tensor, "R C"]:
    """Compute the squared distances of each row's token to its partners in float64 from coordinate differences."""
    result = torch.empty(columns.shape, dtype=torch.float64, device=tokens.device)
    width = max(1, columns.shape[1] * tokens.shape[1])
    step = max(1, _CHUNK_ELEMENTS.get(tokens.device.type, 1 << 18) // width)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        # index_select copies whole rows, four times as fast as tokens[columns]
        partners = tokens.index_select(0, columns[part].flatten()).view(*columns[part].shape, -1).double()
        difference = partners.sub_(tokens.index_select(0, rows[part])[:, None])
        result[part] = difference.square_().sum(-1)
    return result


def pick_smallest(
    squared: Float64[Tensor, "R C"], index: Int64[Tensor, "R C"], keep: int
) -> tuple[Float64[Tensor, "R k"], Int64[Tensor, "R k"]]:
    """Keep each row's `keep` smallest distances in rising order, equal ones by rising index."""
    index, order = index.sort(dim=1)
    squared, order = squared.gather(1, order).sort(dim=1, stable=True)
    return squared[:, :keep].contiguous(), index.gather(1, order[:, :keep])


def scale_of(tokens: Float[Tensor, "N D"]) -> float:
    """Return a power of two that brings coordinates into [-1, 1], so that squares do not overflow."""
    largest = tokens.abs().amax().double()
    return 1.0 if largest == 0 else float(torch.exp2(-torch.ceil(torch.log2(largest))))


def first_of_equal(tokens: Float[Tensor, "N D"], centers: Int64[Tensor, " K"]) -> Int64[Tensor, " U"]:
    """Return the positions of the centres that are not copies of an earlier centre, rising."""
    distinct, group = torch.unique(tokens[centers], dim=0, return_inverse=True)
    position = torch.arange(len(centers), device=tokens.device)
    first = torch.full((len(distinct),), len(centers), device=tokens.device)
    return first.scatter_reduce_(0, group, position, "amin").sort().values


class DenseReductions(PairwiseReductions):
    """All N x N squared distances of tokens `[N, D]` in float64, for tests: 8 N^2 bytes, and again to sort."""

    name = "dense"

    def __init__(self, tokens: Float[Tensor, "N D"]) -> None:
        exact = tokens.double()
        self._squared = torch.stack([(exact - exact[i]).square_().sum(-1) for i in range(len(exact))])

    def k_smallest(self, k: int, share: Share) -> Neighbors:
        """Sort every row without its diagonal entry, in every process."""
        others = self._squared.clone().fill_diagonal_(torch.inf)
        index = torch.arange(len(others), device=others.device).expand_as(others)
        return Neighbors(*pick_smallest(others, index, k))

    def largest(self, share: Share) -> float:
        """Return the matrix's maximum, exact."""
        return float(self._squared.amax())

    def nearest_denser(self, rank: Int64[Tensor, " N"], queries: Int64[Tensor, " Q"]) -> Float64[Tensor, " Q"]:
        """Take the minimum over the columns of lower rank."""
        hidden = rank[None, :] >= rank[queries, None]
        return self._squared[queries].masked_fill_(hidden, torch.inf).amin(1)

    def nearest_center(self, centers: Int64[Tensor, " K"], queries: Int64[Tensor, " Q"]) -> Int64[Tensor, " Q"]:
        """Take the first minimum over the centres' columns."""
        return self._squared[queries][:, centers].argmin(1)
