"""Ways to discover interests; the config group ``interest`` chooses one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from missrec_pl.clustering import dpc_knn, kmeans, random_prototypes, resolve_count


@dataclass(frozen=True)
class Interests:
    """``prototypes [K, D]`` and the 0-based prototype ``assignment [P]`` of every token."""

    prototypes: Tensor
    assignment: Tensor


class InterestMethod(Protocol):
    """Discovers interests among item tokens."""

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Interests:
        """Cluster ``tokens [P, D]`` into ``num_prototypes`` interests; ``seed`` drives what is random."""
        ...


class DPCKNN:
    """Density peaks on k nearest neighbours (paper, 3.3.1); see :func:`missrec_pl.clustering.dpc_knn`.

    Args:
        k: neighbours that make a token's density, as a number or as a share of the tokens.
        backend: ``"auto"``, ``"keops"``, ``"tiled"`` or ``"dense"``.
        distance_scale: ``"none"`` or ``"sqrt_dim"``.
        include_self: whether a token counts among its own neighbours.
        prototype: ``"center"`` (the paper) or ``"mean"`` (the release).
    """

    def __init__(
        self,
        k: int | float = 16,
        backend: str = "auto",
        distance_scale: str = "none",
        include_self: bool = False,
        prototype: str = "center",
    ) -> None:
        self.k = k
        self.backend = backend
        self.distance_scale = distance_scale
        self.include_self = include_self
        self.prototype = prototype

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Interests:
        """See :class:`InterestMethod`; nothing here is random."""
        neighbours = min(resolve_count(self.k, len(tokens)), max(len(tokens) - 1, 1))
        found = dpc_knn(
            tokens,
            num_prototypes,
            neighbours,
            backend=self.backend,  # type: ignore[arg-type]
            distance_scale=self.distance_scale,  # type: ignore[arg-type]
            include_self=self.include_self,
            prototype=self.prototype,  # type: ignore[arg-type]
        )
        return Interests(found.prototypes, found.assignment)


class KMeans:
    """Lloyd's k-means, for the ablation.

    Args:
        max_iterations: at most so many passes.
    """

    def __init__(self, max_iterations: int = 25) -> None:
        self.max_iterations = max_iterations

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Interests:
        """See :class:`InterestMethod`; the seed picks the first centroids."""
        generator = torch.Generator().manual_seed(seed)
        found = kmeans(tokens, num_prototypes, generator=generator, max_iterations=self.max_iterations)
        return Interests(found.prototypes, found.assignment)


class RandomTokens:
    """Random tokens as prototypes, for the ablation; the same ones at every refresh of a run."""

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Interests:
        """See :class:`InterestMethod`; the seed picks the tokens."""
        generator = torch.Generator().manual_seed(seed)
        found = random_prototypes(tokens, num_prototypes, generator=generator)
        return Interests(found.prototypes, found.assignment)


class NoInterests:
    """One constant prototype: the network without interest information."""

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Interests:
        """See :class:`InterestMethod`."""
        return Interests(
            tokens.new_zeros(num_prototypes, tokens.shape[1]),
            torch.zeros(len(tokens), dtype=torch.long, device=tokens.device),
        )
