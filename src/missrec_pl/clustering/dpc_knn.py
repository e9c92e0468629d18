"""Density peaks clustering on k nearest neighbours (DPC-KNN), MISSRec's interest discovery (section 3.3)."""

import logging
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from missrec_pl.clustering.assign import cluster_means
from missrec_pl.clustering.backends import Neighbors, PairwiseReductions, make_reductions
from missrec_pl.clustering.backends.base import exact_arithmetic
from missrec_pl.clustering.result import checked_tokens
from missrec_pl.errors import ConfigError
from missrec_pl.system.processes import Share

_log = logging.getLogger(__name__)

BackendName = Literal["auto", "keops", "tiled", "dense"]
DistanceScale = Literal["none", "sqrt_dim"]
PrototypeKind = Literal["center", "mean"]


@dataclass(frozen=True)
class DPCKNNResult:
    """Interests found among N tokens, without gradients, on the tokens' device.

    Densities, deltas and scores are computed, compared and ordered in float64, in logs, and handed out in
    the tokens' dtype: two of them that differ by less than that dtype resolves look equal here but were
    not.

    Attributes:
        log_density: `[N]` log rho, minus the mean squared distance to the k nearest (eq. 3).
        density: `[N]` rho = exp(log rho); underflows to 0 past -103 in float32, and nothing is derived from
            it.
        delta: `[N]` distance to the nearest denser token (eq. 4). Of equally dense tokens the one of lower
            index counts as denser, so exactly one has none: it gets the largest distance between any two
            tokens.
        score: `[N]` rho * delta = exp(log rho + log delta); underflows with density, while `centers` comes
            from the logs.
        centers: `[K]` int64 token numbers, by falling score, equal ones by index.
        assignment: `[N]` int64 position in `centers` of the nearest centre, the lowest where several tie; a
            centre's own is its own position.
        prototypes: `[K, D]` the centre tokens, or their clusters' means.
        backend: which backend ran.
    """

    log_density: Float[Tensor, " N"]
    density: Float[Tensor, " N"]
    delta: Float[Tensor, " N"]
    score: Float[Tensor, " N"]
    centers: Int64[Tensor, " K"]
    assignment: Int64[Tensor, " N"]
    prototypes: Float[Tensor, "K D"]
    backend: str


def dpc_knn(
    tokens: Float[Tensor, "N D"],
    num_clusters: int,
    k: int,
    *,
    backend: BackendName = "auto",
    distance_scale: DistanceScale = "none",
    include_self: bool = False,
    prototype: PrototypeKind = "center",
    sharded: bool = False,
) -> DPCKNNResult:
    """Cluster tokens by DPC-KNN, exactly, in O(N k) memory.

    Args:
        tokens: `[N, D]`, finite. Leave out tokens of missing modalities: copies of one vector would tie at
            top density.
        num_clusters: K, 1..N.
        k: neighbours in a density, 1..N-1 (1..N with `include_self`; 1 when N = 1, whose log density is 0).
        backend: `tiled` (blocked matrix products), `keops` (LazyTensor, needs a compiler), `dense` (N x N,
            for tests), or `auto` (the faster of the first two here). All give the same result.
        distance_scale: `sqrt_dim` divides distances by sqrt(D), as the authors' code does.
        include_self: count the token itself, at distance 0, among its k, as the authors' code does.
        prototype: `center` (the paper: the centre token) or `mean` (the authors' code: the mean of the
            cluster).
        sharded: every process of the run makes this call with the same tokens, and each does its share of the
            search; all get the result that one process would get, to the bit.

    Returns:
        The result; see its fields.

    Raises:
        ConfigError: an option or a number outside its range, or a backend that cannot run here.
        DataError: tokens that are not `[N, D]`, empty, or not finite.
    """
    tokens = checked_tokens(tokens, num_clusters)
    total = len(tokens)
    _check_options(total, k, distance_scale, include_self, prototype)
    divisor = tokens.shape[1] if distance_scale == "sqrt_dim" else 1
    share = Share.mine() if sharded else Share()
    with exact_arithmetic(tokens.device):
        reductions, reason = make_reductions(backend, tokens, k, share)
        _announce(reductions.name, reason)
        _log.debug("dpc_knn: backend %s, %d tokens of %d", reductions.name, *tokens.shape)
        log_density, squared_delta = _density_and_delta(reductions, tokens, k, include_self, divisor, share)
        log_score = log_density + 0.5 * torch.log(squared_delta)
        centers = _descending(log_score)[:num_clusters]
        mine = torch.arange(total, device=tokens.device)[share.rows(total)]
        assignment = share.gather(reductions.nearest_center(centers, mine), total)
        assignment[centers] = torch.arange(num_clusters, device=tokens.device)
        if prototype == "mean":
            prototypes, _ = cluster_means(tokens, assignment, num_clusters)
        else:
            prototypes = tokens[centers]
    dtype = tokens.dtype
    return DPCKNNResult(
        log_density=log_density.to(dtype),
        density=log_density.exp().to(dtype),
        delta=squared_delta.sqrt().to(dtype),
        score=log_score.exp().to(dtype),
        centers=centers,
        assignment=assignment,
        prototypes=prototypes,
        backend=reductions.name,
    )


@cache
def _announce(backend: str, reason: str) -> None:
    """Log the choice, once per process and not at every refresh."""
    _log.info("dpc_knn: backend %s (%s)", backend, reason)


def _check_options(total: int, k: int, distance_scale: str, include_self: bool, prototype: str) -> None:
    most = total if include_self else max(1, total - 1)
    if not 1 <= k <= most:
        raise ConfigError(
            f"k={k} is outside 1..{most}, the neighbours that {total} tokens have "
            f"(include_self={include_self}); lower k or give a ratio"
        )
    if distance_scale not in ("none", "sqrt_dim"):
        raise ConfigError(f"distance_scale={distance_scale!r} is unknown; choose none or sqrt_dim")
    if prototype not in ("center", "mean"):
        raise ConfigError(f"prototype={prototype!r} is unknown; choose center or mean")


def _density_and_delta(
    reductions: PairwiseReductions,
    tokens: Float[Tensor, "N D"],
    k: int,
    include_self: bool,
    divisor: int,
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
    squared_delta, peaks = _delta_from_neighbors(neighbors, rank)
    squared_delta[order[0]] = reductions.largest(share)
    if len(peaks):
        squared_delta[peaks] = _nearest_denser(reductions, rank, peaks, share)
    _log.debug("dpc_knn: %d of %d tokens are local peaks", len(peaks) + 1, total)
    return log_density, squared_delta / divisor


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


def _delta_from_neighbors(
    neighbors: Neighbors, rank: Int64[Tensor, " N"]
) -> tuple[Float64[Tensor, " N"], Int64[Tensor, " P"]]:
    """Read delta off the neighbour lists: the nearest denser token among the k nearest is the nearest.

    Returns:
        Squared deltas `[N]`, and the local peaks `[P]` (less the global one) that still need a search.
    """
    denser: Bool[Tensor, "N k"] = rank[neighbors.token] < rank[:, None]
    squared = neighbors.squared_distance.masked_fill(~denser, torch.inf).amin(1)
    return squared, (~denser.any(1) & (rank > 0)).nonzero()[:, 0]


def _descending(values: Float64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Order by falling value, equal ones by rising index."""
    return torch.sort(values, descending=True, stable=True).indices
