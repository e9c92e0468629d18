"""Choice of a backend by name, or by device for `auto`."""

from functools import cache

from jaxtyping import Float
from torch import Tensor

from missrec_pl.clustering.backends.base import PairwiseReductions
from missrec_pl.clustering.backends.dense import DenseReductions
from missrec_pl.clustering.backends.keops import KeopsReductions, missing_compiler
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.errors import ConfigError

BACKENDS = ("auto", "keops", "tiled", "dense")


@cache
def resolve(device_type: str) -> tuple[str, str]:
    """Choose what `auto` means on a device, once per process.

    On CPU this is a measured rule and no probe, since a probe would make KeOps compile for 5-30 s: at 300
    dimensions it took 21 times as long as tiled with 4,096 tokens, 27 times with 5,970
    (`benchmarks/interest.py --methods tiled keops`).

    Returns:
        The backend's name and the reason, for the log.
    """
    if device_type != "cuda":
        return (
            "tiled",
            f"on {device_type} blocked matrix products beat KeOps by 10 times and more, without compiling",
        )
    problem = missing_compiler()
    if problem:
        return "tiled", f"cuda, but KeOps cannot run: {problem}"
    return "keops", "cuda with a compiler"


def make_reductions(name: str, tokens: Float[Tensor, "N D"]) -> tuple[PairwiseReductions, str]:
    """Build the named backend over the tokens.

    Args:
        name: one of `BACKENDS`.
        tokens: `[N, D]`.

    Returns:
        The backend, and why it was chosen.

    Raises:
        ConfigError: unknown name, or the backend cannot run here.
    """
    reason = "as asked"
    if name == "auto":
        name, reason = resolve(tokens.device.type)
    if name == "tiled":
        return TiledReductions(tokens), reason
    if name == "keops":
        return KeopsReductions(tokens), reason
    if name == "dense":
        return DenseReductions(tokens), reason
    raise ConfigError(f"backend={name!r} is unknown; choose one of {', '.join(BACKENDS)}")
