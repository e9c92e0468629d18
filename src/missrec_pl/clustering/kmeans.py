"""k-means by Lloyd's iterations: for ablations (the one in the authors' code is faulty)."""

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.clustering.assign import cluster_means, draw_tokens, nearest_prototype
from missrec_pl.clustering.backends.base import exact_arithmetic
from missrec_pl.clustering.result import ClusterResult, check_choice, checked_tokens
from missrec_pl.errors import ConfigError

Initialisation = Literal["k-means++", "random"]


def kmeans(
    tokens: Float[Tensor, "N D"],
    num_clusters: int,
    *,
    seed: int = 0,
    generator: torch.Generator | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
    init: Initialisation = "k-means++",
) -> ClusterResult:
    """Cluster tokens by k-means, each token at its nearest prototype. The tokens are not changed.

    A prototype that loses all its tokens moves to the token farthest from its own.

    Args:
        tokens: `[N, D]`, finite.
        num_clusters: K, 1..N.
        seed: of the generator that draws the initial prototypes, unless one is given.
        generator: one of the CPU, so that devices agree.
        max_iterations: most passes that move the prototypes, at least 1.
        tolerance: stop when the prototypes' mean squared move is at most this share of the tokens' variance.
        init: `k-means++` (tokens drawn by squared distance to those drawn before; K passes over the tokens)
            or `random`.

    Raises:
        ConfigError: an option or a number outside its range.
        DataError: tokens that are not `[N, D]`, empty, or not finite.
    """
    tokens = checked_tokens(tokens, num_clusters)
    if max_iterations < 1 or tolerance < 0:
        raise ConfigError(
            f"kmeans needs max_iterations >= 1 and tolerance >= 0, found {max_iterations}, {tolerance}"
        )
    check_choice("init", init, get_args(Initialisation))
    generator = generator if generator is not None else torch.Generator().manual_seed(seed)
    draw = _plus_plus if init == "k-means++" else draw_tokens
    with exact_arithmetic(tokens.device):
        mean = tokens.mean(0)
        centered = tokens - mean  # distances are expanded: small coordinates lose fewer digits
        prototypes = centered[draw(centered, num_clusters, generator)]
        stop = tolerance * float(centered.square().mean()) * tokens.shape[1]
        found = _iterate(centered, prototypes, stop, max_iterations)
        return replace(found, prototypes=found.prototypes + mean)


def _iterate(
    tokens: Float[Tensor, "N D"], prototypes: Float[Tensor, "K D"], stop: float, max_iterations: int
) -> ClusterResult:
    assignment, squared = nearest_prototype(tokens, prototypes)
    converged, iterations = False, 0
    while not converged and iterations < max_iterations:
        moved, size = cluster_means(tokens, assignment, len(prototypes))
        if len(empty := (size == 0).nonzero()[:, 0]):
            moved[empty] = tokens[squared.topk(len(empty)).indices]
        converged = float((moved - prototypes).square().sum(1).mean()) <= stop
        prototypes, iterations = moved, iterations + 1
        assignment, squared = nearest_prototype(tokens, prototypes)
    return ClusterResult(assignment, prototypes, float(squared.double().sum()), iterations, converged)


def _plus_plus(tokens: Float[Tensor, "N D"], count: int, generator: torch.Generator) -> Int64[Tensor, " K"]:
    """Draw token numbers by k-means++ (distinct unless fewer than `count` tokens differ)."""
    chosen = [int(torch.randint(len(tokens), (1,), generator=generator))]
    squared = torch.full((len(tokens),), torch.inf, dtype=tokens.dtype, device=tokens.device)
    taken = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    while True:
        newest = chosen[-1]
        taken[newest] = True
        if len(chosen) == count:
            return torch.tensor(chosen, device=tokens.device)
        squared = torch.minimum(squared, nearest_prototype(tokens, tokens[newest : newest + 1])[1])
        weight = squared.double().masked_fill(taken, 0.0)
        if not bool(weight.any()):  # only copies of chosen tokens are left
            weight = (~taken).double()
        at = weight.cumsum(0)
        drawn = torch.rand(1, dtype=torch.float64, generator=generator).to(at.device) * at[-1]
        place = int(torch.searchsorted(at, drawn, right=True))
        chosen.append(min(place, int(weight.nonzero()[-1, 0])))
