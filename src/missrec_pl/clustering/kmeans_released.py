"""The mini-batch k-means that the released code calls in place of DPC-KNN, to the letter."""

from __future__ import annotations

from itertools import pairwise

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

    All its faults are kept, except that the caller's tokens are not overwritten:

    - Centroids are means of absolute values; from the second mini-batch on, tokens of any sign meet them.
    - It stops after one pass: it measures the distance of the new centroids to themselves.
    - A centroid that is nearest to no token of the first mini-batch becomes zero.

    Args:
        tokens: `[N, D]`, finite; mini-batches are cut in the order given.
        num_clusters: K, 1..N.
        batch_size: tokens of a mini-batch; 1.1 K where it is K or less.
        seed: draws the first centroids from the first mini-batch, as `np.random.seed(seed)` does there.
        init: `[K]` numbers of the tokens that are the first centroids, instead of drawing them.

    Raises:
        ConfigError: a number outside its range.
        DataError: tokens that are not `[N, D]`, empty, or not finite.
    """
    tokens = checked_tokens(tokens, num_clusters)
    if batch_size < 1:
        raise ConfigError(f"kmeans_released needs batch_size >= 1, found {batch_size}")
    if batch_size <= num_clusters:
        batch_size = int(num_clusters * 1.1)
    # The last batch takes K tokens or fewer more.
    starts = [0, *range(batch_size, len(tokens) - num_clusters, batch_size)]
    batches = [slice(start, stop) for start, stop in pairwise([*starts, len(tokens)])]
    if init is None:
        drawn = np.random.RandomState(seed).choice(batches[0].stop, size=num_clusters, replace=False)
        init = torch.from_numpy(drawn)
    with exact_arithmetic(tokens.device):
        centroids = _pass(tokens, init.to(tokens.device), batches)
        parts = [_nearest(part, centroids) for part in tokens.split(batch_size)]
    assignment = torch.cat([nearest for nearest, _ in parts])
    inertia = sum(float(squared.double().sum()) for _, squared in parts)
    return ClusterResult(assignment, centroids, inertia, iterations=1, converged=False)


def _pass(tokens: Float[Tensor, "N D"], init: Int64[Tensor, " K"], batches: list[slice]) -> Float[Tensor, "K D"]:
    centroids, weight = tokens[init], tokens.new_ones(len(init), 1)
    for rows in batches:
        batch = tokens[rows]
        assignment, _ = _nearest(batch, centroids)
        size = assignment.bincount(minlength=len(init))[:, None]
        means = torch.zeros_like(centroids).index_add(0, assignment, batch.abs()) / size.clamp_min(1)
        centroids = centroids.abs() * (1 - 1 / weight) + means / weight
        weight = weight + size
    return centroids


def _nearest(
    tokens: Float[Tensor, "P D"], centroids: Float[Tensor, "K D"]
) -> tuple[Int64[Tensor, " P"], Float[Tensor, " P"]]:
    """Each token's nearest centroid and its squared distance, by the expanded form in the release's order."""
    similarity = (tokens @ centroids.T).mul_(2)
    similarity -= tokens.square().sum(1, keepdim=True)
    similarity -= centroids.square().sum(1)
    most, nearest = similarity.max(1)
    return nearest, -most
