"""DPC-KNN written the plain way in numpy float64, apart from the package, and token sets to try it on."""

from typing import NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st

from missrec_pl.clustering import DPCKNNResult, dpc_knn


class Expected(NamedTuple):
    log_density: np.ndarray
    delta: np.ndarray
    log_score: np.ndarray
    centers: np.ndarray
    assignment: np.ndarray


def plain_dpc_knn(tokens: np.ndarray, num_clusters: int, k: int, include_self: bool, scaled: bool) -> Expected:
    tokens = tokens.astype(np.float64)
    total = len(tokens)
    squared = np.stack([((tokens - row) ** 2).sum(1) for row in tokens])
    if scaled:
        squared /= tokens.shape[1]
    others = squared.copy()
    if not include_self:
        np.fill_diagonal(others, np.inf)
    nearest = np.sort(others, axis=1)[:, :k]
    log_density = -nearest.mean(1) if total > 1 else np.zeros(1)
    order = sorted(range(total), key=lambda i: (-log_density[i], i))
    delta = np.empty(total)
    delta[order[0]] = np.sqrt(squared.max())
    for place in range(1, total):
        delta[order[place]] = np.sqrt(squared[order[place], order[:place]].min())
    with np.errstate(divide="ignore"):
        log_score = log_density + np.log(delta)
    centers = np.array(sorted(range(total), key=lambda i: (-log_score[i], i))[:num_clusters])
    assignment = squared[:, centers].argmin(1)
    assignment[centers] = np.arange(num_clusters)
    return Expected(log_density, delta, log_score, centers, assignment)


def make_tokens(kind: str, total: int, width: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(total, width, generator=generator)
    pick = torch.randint(max(1, total // 20), (total,), generator=generator)
    if kind == "random":
        return noise
    if kind == "clustered":
        return 5 * torch.randn(total, width, generator=generator)[pick] + 0.1 * noise
    if kind == "far":  # float32 products of these lose all digits of a distance
        return 1000.0 + 100 * torch.randn(total, width, generator=generator)[pick] + 0.01 * noise
    if kind == "outlier":
        noise[0] *= 1e6
        return noise
    if kind == "duplicated":
        return noise[torch.randint(max(1, total // 3), (total,), generator=generator)]
    if kind == "identical":
        return noise[:1].repeat(total, 1)
    if kind == "low_rank":
        return torch.randn(total, 2, generator=generator) @ torch.randn(2, width, generator=generator)
    if kind == "grid":  # many distances tie exactly
        return torch.randint(0, 3, (total, width), generator=generator).float()
    raise ValueError(kind)


GENERIC = ("random", "clustered", "far", "outlier", "low_rank")
TIED = ("duplicated", "identical", "grid")


@st.composite
def problems(draw, kinds=GENERIC + TIED, largest=300, widths=(1, 2, 16, 33), most_neighbors=None):
    """Tokens, K, k, include_self and scaled, over the whole range that is allowed."""
    total = draw(st.integers(1, largest))
    tokens = make_tokens(
        draw(st.sampled_from(kinds)), total, draw(st.sampled_from(widths)), draw(st.integers(0, 9999))
    )
    include_self = draw(st.booleans())
    most = total if include_self else max(1, total - 1)
    k = draw(st.integers(1, min(most, most_neighbors or most)))
    return tokens, draw(st.integers(1, total)), k, include_self, draw(st.booleans())


def run(problem, backend: str, **options) -> DPCKNNResult:
    tokens, num_clusters, k, include_self, scaled = problem
    scale = "sqrt_dim" if scaled else "none"
    return dpc_knn(
        tokens, num_clusters, k, backend=backend, include_self=include_self, distance_scale=scale, **options
    )


def assert_identical(first: DPCKNNResult, second: DPCKNNResult) -> None:
    for name in ("log_density", "density", "centers", "assignment", "prototypes"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    # of the farthest pairs that float32 cannot tell apart one is taken: only the top token's delta and score
    torch.testing.assert_close(first.delta, second.delta, rtol=1e-5, atol=0.0)
    torch.testing.assert_close(first.score, second.score, rtol=1e-4, atol=0.0)
