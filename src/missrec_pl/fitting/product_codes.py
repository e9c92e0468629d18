"""Optimised product quantisation: a rotation, and in each part of the rotated space a few centroids.

The published VQ-Rec makes its codes with faiss (Ge et al., *Optimized Product Quantization*, CVPR 2013). Fitting
needs faiss; with what was fitted, encoding is a few lines.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.system.precision import exact_float32

log = logging.getLogger(__name__)

_DISTANCES_AT_ONCE = 1 << 25


@dataclass(frozen=True)
class Quantiser:
    """What encodes features.

    Attributes:
        rotation: ``[G, F]``; ``G`` is ``F``, or the next multiple of the number of parts.
        centre: ``[G]`` what is subtracted from rotated features: faiss's only coarse centroid, of length 1.
        centroids: ``[K, C, G / K]`` centroids of each part.
    """

    rotation: Tensor
    centre: Tensor
    centroids: Tensor


def padded_width(width: int, code_dim: int) -> int:
    """``G``, the least multiple of the number ``K`` of parts that ``F`` features fit into."""
    return -(-width // code_dim) * code_dim


def fit_quantiser(features: Float[np.ndarray, "P F"], code_dim: int, code_cap: int, seed: int = 0) -> Quantiser:
    """Fit to features as published: faiss's ``OPQ32,IVF1,PQ32x8`` with inner products.

    But for the last step, which renumbers centroids so that similar codes differ in few bits: it takes most of
    the time, and a code's number means nothing to VQ-Rec. One thread: a seed always gives the same. Fewer items
    than dimensions cannot tell how to rotate these (faiss writes past its memory then): they stay as they are.

    Args:
        features: of the items that may be looked at.
        code_dim: number ``K`` of parts, and of codes of an item.
        code_cap: number ``C`` of centroids of a part, a power of 2.
        seed: of the k-means.

    Raises:
        ConfigError: faiss is not installed.
        DataError: fewer items than centroids, or features that are too large to compare.
    """
    if len(features) < code_cap:
        raise DataError(
            f"model.code_cap={code_cap}: needs as many items to fit the codes to, and only {len(features)} of the "
            "training part have the modality; lower model.code_cap (a power of 2), or leave the modality out with "
            "data.modalities."
        )
    if not torch.from_numpy(np.asarray(features, np.float32)).square().sum(1).isfinite().all():
        raise DataError(
            "model=vqrec: the square of a feature's length is no finite number in float32; scale the features, or "
            "say features.whitening=1."
        )
    faiss, width = _faiss(), features.shape[1]
    padded, bits = padded_width(width, code_dim), code_cap.bit_length() - 1
    cells = faiss.index_factory(padded, f"IVF1,PQ{code_dim}x{bits}np", faiss.METRIC_INNER_PRODUCT)
    index, rotation = cells, None
    if len(features) >= padded:
        rotation = faiss.OPQMatrix(width, code_dim, padded)
        # Else it turns the space for 256 centroids, whatever C is.
        rotation.pq = own = faiss.ProductQuantizer(padded, code_dim, bits)
        index = faiss.IndexPreTransform(rotation, cells)
        own.cp.seed, own.cp.min_points_per_centroid = seed, 1
    else:
        log.info("codes of %d items: fewer than the %d dimensions, which stay unrotated", len(features), padded)
        features = np.pad(features, ((0, 0), (0, padded - width)))
    for clustering in (cells.pq.cp, cells.cp):
        clustering.seed = seed
        clustering.min_points_per_centroid = 1  # no line for every k-means that has fewer than it likes
    with _one_thread(faiss):
        index.train(np.ascontiguousarray(features, np.float32))
    found = (
        np.eye(padded, width) if rotation is None else faiss.vector_to_array(rotation.A).reshape(padded, width),
        cells.quantizer.reconstruct(0),
        faiss.vector_to_array(cells.pq.centroids).reshape(code_dim, code_cap, -1),
    )
    return Quantiser(*(torch.from_numpy(np.array(array, np.float32)) for array in found))


@torch.no_grad()
def product_codes(features: Float[Tensor, "P F"], quantiser: Quantiser) -> Int[Tensor, "P K"]:
    """The nearest centroid of each part, from 0.

    In float32 whatever a run trains with: an item's codes never depend on it.
    """
    centroids = quantiser.centroids
    lengths = centroids.square().sum(-1)[:, None]
    step = max(1, _DISTANCES_AT_ONCE // lengths.numel())
    found = []
    with exact_float32(features.device):
        for rows in features.to(centroids.dtype).split(step):
            rotated = rows @ quantiser.rotation.T - quantiser.centre
            parts = rotated.unflatten(1, (len(centroids), -1)).transpose(0, 1)
            found.append(torch.baddbmm(lengths, parts, centroids.mT, alpha=-2).argmin(-1).T)
    return torch.cat(found) if found else torch.zeros(0, len(centroids), dtype=torch.long, device=features.device)


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ConfigError(
            "model=vqrec: fitting its codes needs faiss, which is not installed here; "
            "pip install 'missrec-pl[vqrec]'."
        ) from error
    return faiss


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
