"""The mini-batch k-means that the released code calls in place of DPC-KNN, to the letter."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.clustering.backends.base import exact_arithmetic
from missrec_pl.clustering.result import ClusterResult, checked_tokens
from missrec_pl.errors import ConfigError


def kmeans_released(
    tokens: Float[Tensor, "N D"],
    num_clusters: int,
    *,
    batch_size: int = 2048,
    seed: int = 0,
    init: Int64[Tensor, " K"] | None = None,
) -> ClusterResult:
    """Cluster tokens as the released code does. For comparison only: see :func:`kmeans`.

    Its oddities, all kept but one:

    - Comparing tokens with centroids leaves the absolute values of both behind: centroids are means of absolute
      values, and from the second mini-batch on tokens of any sign are compared with centroids that are never
      negative. (There the caller's tokens are overwritten as well; here they are not.)
    - It stops after one pass over the tokens, for it takes the distance of the new centroids to themselves for
      their move.
    - A centroid that no token of the first mini-batch is nearest to becomes zero.

    Args:
        tokens: `[N, D]`, finite; mini-batches are cut in the order given.
        num_clusters: K, 1..N.
        batch_size: tokens of a mini-batch; 1.1 K where it is K or less.
        seed: draws the first centroids from the first mini-batch, as `np.random.seed(seed)` does there.
        init: `[K]` numbers of the tokens that are the first centroids, instead of drawing them.

    Returns:
        Each token's nearest centroid, and the centroids as prototypes.

    Raises:
        ConfigError: a number outside its range.
        DataError: tokens that are not `[N, D]`, empty, or not finite.
    """
    tokens = checked_tokens(tokens, num_clusters)
    if batch_size < 1:
        raise ConfigError(f"kmeans_released needs batch_size >= 1, found {batch_size}")
    if batch_size <= num_clusters:
        batch_size = int(num_clusters * 1.1)
    batches = _cut(len(tokens), batch_size, num_clusters)
    if init is None:
        drawn = np.random.RandomState(seed).choice(batches[0].stop, size=num_clusters, replace=False)
        init = torch.from_numpy(drawn)
    with exact_arithmetic(tokens.device):
        centroids = tokens[init.to(tokens.device)]
        weight = tokens.new_ones(num_clusters, 1)
        for rows in batches:
            batch = tokens[rows]
            assignment, _ = _nearest(batch, centroids)
            size = assignment.bincount(minlength=num_clusters)[:, None]
            means = torch.zeros_like(centroids).index_add(0, assignment, batch.abs()) / size.clamp_min(1)
            centroids = centroids.abs() * (1 - 1 / weight) + means / weight
            weight = weight + size
        parts = [_nearest(part, centroids) for part in tokens.split(batch_size)]
    assignment = torch.cat([nearest for nearest, _ in parts])
    inertia = sum(float(squared.double().sum()) for _, squared in parts)
    return ClusterResult(assignment, centroids, inertia, iterations=1, converged=False)


def _cut(total: int, batch_size: int, num_clusters: int) -> list[slice]:
    """Mini-batches; what would leave K tokens or fewer for the next one goes with the last."""
    cuts, start = [], 0
    while start < total:
        left = total - start - batch_size
        stop = total if left <= num_clusters else start + batch_size
        cuts.append(slice(start, stop))
        start = stop
    return cuts


def _nearest(
    tokens: Float[Tensor, "P D"], centroids: Float[Tensor, "K D"]
) -> tuple[Int64[Tensor, " P"], Float[Tensor, " P"]]:
    """Each token's nearest centroid and its squared distance, by the expanded form in the release's order."""
    similarity = (tokens @ centroids.T).mul_(2)
    similarity -= tokens.square().sum(1, keepdim=True)
    similarity -= centroids.square().sum(1)
    most, nearest = similarity.max(1)
    return nearest, -most
