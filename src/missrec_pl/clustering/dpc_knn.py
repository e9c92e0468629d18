"""Density peaks clustering on k nearest neighbours (DPC-KNN): interest discovery (paper, 3.3)."""

import logging
from functools import cache
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from missrec_pl.clustering.assign import cluster_means
from missrec_pl.clustering.backends import make_reductions
from missrec_pl.clustering.backends.base import PairwiseReductions, exact_arithmetic
from missrec_pl.clustering.result import DPCKNNResult, check_choice, checked_tokens
from missrec_pl.errors import ConfigError
from missrec_pl.system.processes import Share

_log = logging.getLogger(__name__)

_ROWS = 16384  # tokens widened at a time

BackendName = Literal["auto", "keops", "tiled", "dense"]
DistanceScale = Literal["none", "sqrt_dim"]
PrototypeKind = Literal["center", "mean"]
TopDelta = Literal["largest", "own"]


def dpc_knn(
    tokens: Float[Tensor, "N D"],
    num_clusters: int,
    k: int,
    *,
    backend: BackendName = "auto",
    distance_scale: DistanceScale = "none",
    include_self: bool = False,
    prototype: PrototypeKind = "center",
    top_delta: TopDelta = "largest",
    sharded: bool = False,
) -> DPCKNNResult:
    """Cluster tokens by DPC-KNN, exactly, in O(N k) memory.

    Args:
        tokens: `[N, D]`, finite, without missing ones: copies of one vector would tie at top density.
        num_clusters: K, 1..N.
        k: neighbours in a density, 1..N-1 (1..N with `include_self`; 1 when N = 1, whose log density is 0).
        backend: `tiled` (blocked matrix products), `keops` (needs a compiler), `dense` (N x N, for tests), or
            `auto` (the faster of the first two here). All give the same result.
        distance_scale: `sqrt_dim` divides distances by sqrt(D), as the authors' code does.
        include_self: count the token itself, at distance 0, among its k, as the authors' code does.
        prototype: `center` (the paper: the centre token) or `mean` (the authors' code: the cluster's mean).
        top_delta: delta of the densest token: the `largest` distance between any two tokens (the authors' code),
            or the largest of its `own` distances (eq. 4 as printed).
        sharded: all processes make this call with the same tokens, share the search, and get the result of one.

    Raises:
        ConfigError: an option or a number outside its range, or a backend that cannot run here.
        DataError: tokens that are not `[N, D]`, empty, or not finite.
    """
    tokens = checked_tokens(tokens, num_clusters)
    _check_options(len(tokens), k, include_self, backend, distance_scale, prototype)
    check_choice("top_delta", top_delta, get_args(TopDelta))
    divisor = tokens.shape[1] if distance_scale == "sqrt_dim" else 1
    share = Share.mine() if sharded else Share()
    with exact_arithmetic(tokens.device):
        reductions, reason = make_reductions(backend, tokens, k, share)
        _announce(reductions.name, reason)
        log_density, squared_delta = _density_and_delta(
            reductions, tokens, k, include_self, divisor, top_delta, share
        )
        log_score = log_density + 0.5 * torch.log(squared_delta)
        centers = _descending(log_score)[:num_clusters]
        mine = torch.arange(len(tokens), device=tokens.device)[share.rows(len(tokens))]
        assignment = share.gather(reductions.nearest_center(centers, mine), len(tokens))
        assignment[centers] = torch.arange(num_clusters, device=tokens.device)
        is_mean = prototype == "mean"
        prototypes = cluster_means(tokens, assignment, num_clusters)[0] if is_mean else tokens[centers]
    exact = (log_density, log_density.exp(), squared_delta.sqrt(), log_score.exp())
    log_density, density, delta, score = (value.to(tokens.dtype) for value in exact)
    return DPCKNNResult(log_density, density, delta, score, centers, assignment, prototypes, reductions.name)


@cache
def _announce(backend: str, reason: str) -> None:
    """Log the choice, once per process and not at every refresh."""
    _log.info("dpc_knn: backend %s (%s)", backend, reason)


def _check_options(
    total: int, k: int, include_self: bool, backend: str, distance_scale: str, prototype: str
) -> None:
    most = total if include_self else max(1, total - 1)
    if not 1 <= k <= most:
        raise ConfigError(
            f"k={k} is outside 1..{most}, the neighbours that {total} tokens have "
            f"(include_self={include_self}); lower k or give a ratio"
        )
    check_choice("backend", backend, get_args(BackendName))
    check_choice("distance_scale", distance_scale, get_args(DistanceScale))
    check_choice("prototype", prototype, get_args(PrototypeKind))


def _density_and_delta(
    reductions: PairwiseReductions,
    tokens: Float[Tensor, "N D"],
    k: int,
    include_self: bool,
    divisor: int,
    top_delta: TopDelta,
    share: Share,
) -> tuple[Float64[Tensor, " N"], Float64[Tensor, " N"]]:
    """Return log densities and squared deltas, eqs. (3) and (4), of distances divided by sqrt(divisor)."""
    total = len(tokens)
    if total == 1:
        zero = torch.zeros(1, dtype=torch.float64, device=tokens.device)
        return zero, zero.clone()
    others = k - 1 if include_self else k
    neighbors = reductions.k_smallest(max(1, others), share)
    log_density = -neighbors.squared_distance[:, :others].sum(1) / (k * divisor)
    order = _descending(log_density)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(total, device=tokens.device)
    # Where the nearest denser token is among the k nearest it is delta; only local peaks need a search for it.
    is_denser: Bool[Tensor, "N k"] = rank[neighbors.token] < rank[:, None]
    squared_delta = neighbors.squared_distance.masked_fill(~is_denser, torch.inf).amin(1)
    peaks = (~is_denser.any(1) & (rank > 0)).nonzero()[:, 0]
    top = int(order[0])
    squared_delta[top] = _farthest(tokens, top) if top_delta == "own" else reductions.largest(share)
    if len(peaks):
        squared_delta[peaks] = _nearest_denser(reductions, rank, peaks, share)
    _log.debug("dpc_knn: %d of %d tokens are local peaks", len(peaks) + 1, total)
    return log_density, squared_delta / divisor


def _farthest(tokens: Float[Tensor, "N D"], number: int) -> float:
    """The largest squared distance of one token to the others, in float64."""
    own = tokens[number].double()
    return max(float((part.double() - own).square().sum(1).max()) for part in tokens.split(_ROWS))


def _nearest_denser(
    reductions: PairwiseReductions, rank: Int64[Tensor, " N"], peaks: Int64[Tensor, " P"], share: Share
) -> Float64[Tensor, " P"]:
    """Search for the local peaks, dealt out by rank: the work of one grows with its rank."""
    by_rank = rank[peaks].argsort()
    dealt = torch.cat([by_rank[index :: share.count] for index in range(share.count)])
    mine = peaks[dealt[share.rows(len(peaks))]]
    found = reductions.nearest_denser(rank, mine) if len(mine) else peaks.new_empty(0, dtype=torch.float64)
    squared = torch.empty(len(peaks), dtype=torch.float64, device=peaks.device)
    squared[dealt] = share.gather(found, len(peaks))
    return squared


def _descending(values: Float64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Order by falling value, equal ones by rising index."""
    return torch.sort(values, descending=True, stable=True).indices
