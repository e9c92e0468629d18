"""Nearest prototypes and cluster means, in blocks."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_BLOCK_ELEMENTS = 1 << 22
"""Distances held at once: 16 MB in float32."""


def nearest_prototype(
    tokens: Float[Tensor, "N D"], prototypes: Float[Tensor, "K D"]
) -> tuple[Int64[Tensor, " N"], Float[Tensor, " N"]]:
    """Find each token's nearest prototype.

    Args:
        tokens: `[N, D]`.
        prototypes: `[K, D]`; the first of equally near ones is taken.

    Returns:
        Positions `[N]`, and squared distances `[N]` (expanded around the prototypes' mean, so that few
        digits are lost).
    """
    center = prototypes.mean(0)
    right = prototypes - center
    norms = right.square().sum(1)
    index = torch.empty(len(tokens), dtype=torch.int64, device=tokens.device)
    squared = torch.empty(len(tokens), dtype=tokens.dtype, device=tokens.device)
    step = max(1, _BLOCK_ELEMENTS // len(prototypes))
    for start in range(0, len(tokens), step):
        left = tokens[start : start + step] - center
        smallest, nearest = torch.addmm(norms, left, right.T, alpha=-2).min(1)
        index[start : start + step] = nearest
        squared[start : start + step] = (smallest + left.square().sum(1)).clamp_(min=0)
    return index, squared


def cluster_means(
    tokens: Float[Tensor, "N D"], assignment: Int64[Tensor, " N"], num_clusters: int
) -> tuple[Float[Tensor, "K D"], Int64[Tensor, " K"]]:
    """Average the tokens of each cluster, summed in float64 (rows of an empty cluster are 0).

    Args:
        tokens: `[N, D]`.
        assignment: `[N]`, 0..K-1.
        num_clusters: K.

    Returns:
        Means `[K, D]` in the tokens' dtype, and sizes `[K]`.
    """
    size = torch.bincount(assignment, minlength=num_clusters)
    total = torch.zeros(num_clusters, tokens.shape[1], dtype=torch.float64, device=tokens.device)
    for start in range(0, len(tokens), 1 << 13):
        part = slice(start, start + (1 << 13))
        total.index_add_(0, assignment[part], tokens[part].double())
    return (total / size.clamp(min=1)[:, None]).to(tokens.dtype), size
