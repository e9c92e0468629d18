"""What every way of finding prototypes returns, and the checks of what it is given."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from missrec_pl.errors import ConfigError, DataError


@dataclass(frozen=True)
class ClusterResult:
    """Prototypes found by k-means or drawn at random.

    Attributes:
        assignment: `[N]` each token's nearest prototype, 0..K-1.
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


@dataclass(frozen=True)
class DPCKNNResult:
    """Interests found among N tokens, without gradients, on the tokens' device.

    Densities, deltas and scores are computed and ordered in float64, as logarithms, and returned in the tokens'
    dtype. Two that look equal here may therefore have differed.

    Attributes:
        log_density: `[N]` log rho, minus the mean squared distance to the k nearest (eq. 3).
        density: `[N]` rho = exp(log rho); underflows to 0 below -103 in float32.
        delta: `[N]` distance to the nearest denser token (eq. 4). Of equally dense tokens the one of lower
            index counts as denser. The densest gets what ``top_delta`` says.
        score: `[N]` rho * delta; underflows with density, while `centers` comes from the logarithms.
        centers: `[K]` token numbers, by falling score, equal ones by index.
        assignment: `[N]` position in `centers` of the nearest centre, the lowest where several tie; a
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


Clustering: TypeAlias = ClusterResult | DPCKNNResult
"""The result of any method: it has `assignment` and `prototypes`."""


def resolve_count(value: int | float, total: int) -> int:
    """Turn a count (int) or a ratio of `total` (float, rounded up as the paper's authors do) into a count.

    Raises:
        ConfigError: a count outside 1..total or a ratio outside (0, 1] (never clipped in silence), a bool, or
            nothing to count.
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


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ConfigError if the option's value is none of its choices."""
    if value not in choices:
        listed = " or ".join(choices) if len(choices) == 2 else f"one of {', '.join(choices)}"
        raise ConfigError(f"{option}={value!r} is unknown; choose {listed}")
