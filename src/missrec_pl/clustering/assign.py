"""Nearest prototypes and cluster means, in blocks, and prototypes drawn at random."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import exact_arithmetic
from missrec_pl.clustering.result import ClusterResult, checked_tokens

_BLOCK_ELEMENTS = 1 << 22
"""Distances held at once: 16 MB in float32."""


def nearest_prototype(
    tokens: Float[Tensor, "N D"], prototypes: Float[Tensor, "K D"]
) -> tuple[Int64[Tensor, " N"], Float[Tensor, " N"]]:
    """Find each token's nearest prototype, the first of equally near ones.

    Returns:
        Positions `[N]`, and squared distances `[N]`, expanded around the prototypes' mean to lose fewer digits.
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
    """Average the tokens of each cluster 0..K-1, summed in float64; empty clusters get rows of 0.

    Returns:
        Means `[K, D]` in the tokens' dtype, and sizes `[K]`.
    """
    size = torch.bincount(assignment, minlength=num_clusters)
    total = torch.zeros(num_clusters, tokens.shape[1], dtype=torch.float64, device=tokens.device)
    for start in range(0, len(tokens), 1 << 13):
        part = slice(start, start + (1 << 13))
        total.index_add_(0, assignment[part], tokens[part].double())
    return (total / size.clamp(min=1)[:, None]).to(tokens.dtype), size


def draw_tokens(tokens: Float[Tensor, "N D"], count: int, generator: torch.Generator) -> Int64[Tensor, " K"]:
    """Draw distinct token numbers, all equally likely."""
    return torch.randperm(len(tokens), generator=generator)[:count].to(tokens.device)


def random_prototypes(
    tokens: Float[Tensor, "N D"], num_clusters: int, generator: torch.Generator | None = None
) -> ClusterResult:
    """Take K distinct random tokens as prototypes, and assign every token to its nearest one.

    `generator` is one of the CPU (None: seeded with 0). Raises what :func:`kmeans` raises.
    """
    tokens = checked_tokens(tokens, num_clusters)
    generator = generator if generator is not None else torch.Generator().manual_seed(0)
    with exact_arithmetic(tokens.device):
        prototypes = tokens[draw_tokens(tokens, num_clusters, generator)]
        assignment, squared = nearest_prototype(tokens, prototypes)
    return ClusterResult(assignment, prototypes, float(squared.double().sum()))
