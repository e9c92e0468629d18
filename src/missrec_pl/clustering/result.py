"""What every way of finding prototypes returns, and the checks of what it is given."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.errors import ConfigError, DataError


@runtime_checkable
class Clustering(Protocol):
    """The part of a result that every method shares.

    Attributes:
        assignment: `[N]` each token's prototype, 0..K-1.
        prototypes: `[K, D]`.
    """

    @property
    def assignment(self) -> Int64[Tensor, " N"]:
        """Each token's prototype."""
        ...

    @property
    def prototypes(self) -> Float[Tensor, "K D"]:
        """The prototypes."""
        ...


@dataclass(frozen=True)
class ClusterResult:
    """Prototypes found by k-means or drawn at random.

    Attributes:
        assignment: `[N]` int64, each token's nearest prototype, 0..K-1.
        prototypes: `[K, D]`, in the tokens' dtype.
        inertia: sum of squared distances of the tokens to their prototypes.
        iterations: passes over the tokens that moved the prototypes.
        converged: whether it stopped because the prototypes no longer moved.
    """

    assignment: Int64[Tensor, " N"]
    prototypes: Float[Tensor, "K D"]
    inertia: float
    iterations: int = 0
    converged: bool = True


def resolve_count(value: int | float, total: int) -> int:
    """Turn a count or a ratio into a count.

    Args:
        value: an int is a count; a float in (0, 1] a share of `total`, rounded up as the paper's authors do.
        total: what there is to count, at least 1.

    Returns:
        A count in 1..total.

    Raises:
        ConfigError: a count outside 1..total (never clipped in silence: results would not say what was
            asked), a ratio outside (0, 1], a bool, or nothing to count.
    """
    if total < 1:
        raise ConfigError(f"cannot take {value} of {total} tokens; check that the domain has features")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{value!r} is neither a count (int) nor a ratio (float in (0, 1])")
    if isinstance(value, int):
        if not 1 <= value <= total:
            raise ConfigError(
                f"count {value} is outside 1..{total}; give a count in that range or a ratio such as 0.1"
            )
        return value
    if not 0.0 < value <= 1.0:
        raise ConfigError(f"ratio {value} is outside (0, 1]; for a count write it without a decimal point")
    return min(total, max(1, math.ceil(value * total - 1e-9)))  # .07 * 100 is 7.000000000000001


def checked_tokens(tokens: Tensor, num_clusters: int) -> Float[Tensor, "N D"]:
    """Check tokens and the number of prototypes; detach, and widen half precision to float32.

    Raises:
        DataError: not two-dimensional, empty, not floating point, or not finite.
        ConfigError: fewer than one prototype, or more than tokens.
    """
    if tokens.ndim != 2 or 0 in tokens.shape:
        raise DataError(f"tokens have shape {tuple(tokens.shape)}; clustering needs [N, D] with N, D >= 1")
    if not tokens.is_floating_point():
        raise DataError(f"tokens are {tokens.dtype}; convert features to a floating-point dtype first")
    finite = torch.isfinite(tokens).all(1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0, 0])
        raise DataError(
            f"{int((~finite).sum())} of {len(tokens)} tokens hold NaN or infinity, the first is row {first}; "
            "check the features, or lower the learning rate if an adapter diverged"
        )
    if not 1 <= num_clusters <= len(tokens):
        raise ConfigError(
            f"num_clusters={num_clusters} is outside 1..{len(tokens)}, the number of tokens; "
            "lower it or give a ratio"
        )
    tokens = tokens.detach()
    return tokens if tokens.dtype in (torch.float32, torch.float64) else tokens.float()
