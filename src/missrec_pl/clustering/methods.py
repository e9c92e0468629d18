"""Ways to discover interests; the config group ``interest`` chooses one."""

from __future__ import annotations

import logging
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from missrec_pl.clustering import Clustering, ClusterResult, dpc_knn, kmeans, random_prototypes, resolve_count
from missrec_pl.clustering.dpc_knn import BackendName, DistanceScale, PrototypeKind, TopDelta
from missrec_pl.clustering.kmeans_released import kmeans_released

log = logging.getLogger(__name__)


@runtime_checkable
class InterestMethod(Protocol):
    """Discovers interests among item tokens. (No dataclass: OmegaConf would take it for a config.)

    Attributes:
        is_sharded: whether all processes call it and share the work; otherwise the first does it alone.
        modality_by_modality: whether, of items that all have all modalities, the tokens of one modality come after
            those of another; otherwise they come item by item.
    """

    is_sharded: bool
    modality_by_modality: bool

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Clustering:
        """Cluster ``tokens [P, D]`` into ``num_prototypes`` interests; ``seed`` drives what is random."""
        ...


class DPCKNN:
    """Density peaks on k nearest neighbours (paper, 3.3.1); see :func:`missrec_pl.clustering.dpc_knn`.

    Args:
        k: neighbours that make a token's density, as a number or as a share of the tokens; a smoothing constant,
            so in a catalogue of fewer tokens all others are taken, and the log says so.
        backend: ``"auto"``, ``"keops"``, ``"tiled"`` or ``"dense"``.
        distance_scale: ``"none"`` or ``"sqrt_dim"``.
        include_self: whether a token counts among its own neighbours.
        prototype: ``"center"`` (the paper) or ``"mean"`` (the release).
        top_delta: delta of the densest token, ``"largest"`` (the release) or ``"own"`` (eq. 4 as printed).
    """

    is_sharded, modality_by_modality = True, False

    def __init__(
        self,
        k: int | float = 16,
        backend: BackendName = "auto",
        distance_scale: DistanceScale = "none",
        include_self: bool = False,
        prototype: PrototypeKind = "center",
        top_delta: TopDelta = "largest",
    ) -> None:
        self.k = k
        self.backend = backend
        self.distance_scale = distance_scale
        self.include_self = include_self
        self.prototype = prototype
        self.top_delta = top_delta
        self._has_told = False

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Clustering:
        """See :class:`InterestMethod`; nothing here is random."""
        most = max(len(tokens) - 1, 1)  # one token is its own neighbour, at distance 0
        k = self.k if isinstance(self.k, int) else resolve_count(self.k, len(tokens))
        if k > most and not self._has_told:
            self._has_told = True
            log.info("interest.method.k=%s: %d tokens have no more than %d neighbours", self.k, len(tokens), most)
        return dpc_knn(
            tokens,
            num_prototypes,
            min(k, most),
            backend=self.backend,
            distance_scale=self.distance_scale,
            include_self=self.include_self,
            prototype=self.prototype,
            top_delta=self.top_delta,
            sharded=True,
        )


class KMeans:
    """Lloyd's k-means, for the ablation.

    Args:
        max_iterations: at most so many passes.
    """

    is_sharded, modality_by_modality = False, False

    def __init__(self, max_iterations: int = 25) -> None:
        self.max_iterations = max_iterations

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Clustering:
        """See :class:`InterestMethod`; the seed picks the first centroids."""
        return kmeans(tokens, num_prototypes, seed=seed, max_iterations=self.max_iterations)


class KMeansReleased:
    """The release's faulty mini-batch k-means, for comparison; see :func:`kmeans_released`.

    Args:
        batch_size: tokens of a mini-batch.
    """

    is_sharded, modality_by_modality = False, True

    def __init__(self, batch_size: int = 2048) -> None:
        self.batch_size = batch_size

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Clustering:
        """See :class:`InterestMethod`; the seed picks the first centroids."""
        return kmeans_released(tokens, num_prototypes, batch_size=self.batch_size, seed=seed)


class RandomTokens:
    """Random tokens as prototypes, for the ablation; the same ones at every refresh of a run."""

    is_sharded, modality_by_modality = False, False

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Clustering:
        """See :class:`InterestMethod`; the seed picks the tokens."""
        return random_prototypes(tokens, num_prototypes, torch.Generator().manual_seed(seed))


class NoInterests:
    """One constant prototype: the network without interest information."""

    is_sharded, modality_by_modality = False, False

    def __call__(self, tokens: Tensor, num_prototypes: int, seed: int) -> Clustering:
        """See :class:`InterestMethod`."""
        return ClusterResult(
            assignment=torch.zeros(len(tokens), dtype=torch.long, device=tokens.device),
            prototypes=tokens.new_zeros(num_prototypes, tokens.shape[1]),
            inertia=float(tokens.square().sum()),
        )
