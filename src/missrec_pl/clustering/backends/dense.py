"""The oracle: all N x N squared distances in float64. For tests and for a few thousand tokens."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import Neighbors, pick_smallest
from missrec_pl.system.processes import Share


class DenseReductions:
    """Reductions on the full matrix: 8 N^2 bytes, twice that while it sorts.

    Args:
        tokens: `[N, D]`.
    """

    name = "dense"

    def __init__(self, tokens: Float[Tensor, "N D"]) -> None:
        exact = tokens.double()
        self._squared = torch.stack([(exact - exact[i]).square_().sum(-1) for i in range(len(exact))])

    def prepare(self, k: int) -> None:
        """Nothing to compile."""

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
