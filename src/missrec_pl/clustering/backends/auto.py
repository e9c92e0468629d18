"""Choice of a backend by name; for `auto`, by device."""

import os

from jaxtyping import Float
from torch import Tensor

from missrec_pl.clustering.backends.base import PairwiseReductions
from missrec_pl.clustering.backends.dense import DenseReductions
from missrec_pl.clustering.backends.keops import KeopsReductions
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.errors import ConfigError
from missrec_pl.system.processes import Share

BACKENDS = ("auto", "keops", "tiled", "dense")


def resolve(device: str) -> tuple[str, str]:
    """Choose what `auto` means on a device. These are measured rules; no run pays for a trial.

    Args:
        device: type of the tokens' device.

    Returns:
        The backend's name and the reason, for the log.
    """
    if device == "cuda":
        # One H200, 300 dimensions: 131,072 tokens .52 s against 2.09 s, and KeOps' compiler crashed the process.
        return "tiled", "on cuda blocked matrix products beat KeOps four times, and cannot crash in its compiler"
    # `python benchmarks/interest.py`: 5 to 8 times at 64 dimensions, 20 to 40 times at 300.
    return "tiled", f"on {device} blocked matrix products beat KeOps by 5 to 40 times, without compiling"


def make_reductions(
    name: str, tokens: Float[Tensor, "N D"], k: int, share: Share
) -> tuple[PairwiseReductions, str]:
    """Build the named backend over the tokens, compiled by one process of each machine before the others.

    Args:
        name: one of `BACKENDS`.
        tokens: `[N, D]`.
        k: neighbours that will be asked for.
        share: the processes that work together.

    Returns:
        The backend, and why it was chosen.

    Raises:
        ConfigError: unknown name, or the backend cannot run here.
    """
    reason = "as asked"
    if name == "auto":
        name, reason = resolve(tokens.device.type)
    kinds = {"tiled": TiledReductions, "keops": KeopsReductions, "dense": DenseReductions}
    if name not in kinds:
        raise ConfigError(f"backend={name!r} is unknown; choose one of {', '.join(BACKENDS)}")
    reductions: PairwiseReductions = kinds[name](tokens)
    if share.count > 1:
        if int(os.environ.get("LOCAL_RANK", share.index)) == 0:
            reductions.prepare(k)
        share.wait()
    return reductions, reason
