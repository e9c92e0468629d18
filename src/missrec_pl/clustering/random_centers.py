"""Prototypes drawn at random: the control that any clustering has to beat."""

import torch
from jaxtyping import Float
from torch import Tensor

from missrec_pl.clustering.assign import nearest_prototype
from missrec_pl.clustering.backends.base import exact_arithmetic
from missrec_pl.clustering.kmeans import draw_tokens
from missrec_pl.clustering.result import ClusterResult, checked_tokens


def random_prototypes(
    tokens: Float[Tensor, "N D"], num_clusters: int, generator: torch.Generator | None = None
) -> ClusterResult:
    """Take distinct tokens as prototypes, all equally likely, and assign every token to its nearest one.

    Args:
        tokens: `[N, D]`, finite.
        num_clusters: K, 1..N.
        generator: a CPU generator that draws them (None: seeded with 0).

    Raises:
        ConfigError: `num_clusters` outside 1..N.
        DataError: tokens that are not `[N, D]`, empty, or not finite.
    """
    tokens = checked_tokens(tokens, num_clusters)
    generator = generator if generator is not None else torch.Generator().manual_seed(0)
    with exact_arithmetic(tokens.device):
        chosen = draw_tokens(tokens, num_clusters, generator)
        prototypes = tokens[chosen]
        assignment, squared = nearest_prototype(tokens, prototypes)
    return ClusterResult(assignment, prototypes, float(squared.double().sum()))
