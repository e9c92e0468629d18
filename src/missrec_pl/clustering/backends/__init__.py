"""Backends of the pairwise reductions behind DPC-KNN, one interface for all, chosen by name or by device."""

import os

from jaxtyping import Float
from torch import Tensor

from missrec_pl.clustering.backends.base import DenseReductions, PairwiseReductions
from missrec_pl.clustering.backends.keops import KeopsReductions
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.system.processes import Share


def resolve(device: str) -> tuple[str, str]:
    """The backend of `auto` for a device type, by rules that were measured once, and the reason, for the log."""
    if device == "cuda":
        # One H200, 300 dimensions: 131,072 tokens .52 s against 2.09 s, and KeOps' compiler crashed the process.
        return "tiled", "on cuda blocked matrix products beat KeOps four times, and cannot crash in its compiler"
    # `python benchmarks/interest.py`: 5 to 8 times at 64 dimensions, 20 to 40 times at 300.
    return "tiled", f"on {device} blocked matrix products beat KeOps by 5 to 40 times, without compiling"


def make_reductions(
    name: str, tokens: Float[Tensor, "N D"], k: int, share: Share
) -> tuple[PairwiseReductions, str]:
    """Build a backend over tokens `[N, D]` that will be asked for `k` neighbours; also say why it was chosen.

    What it has to compile is compiled by one process of each machine before the others.

    Raises:
        ConfigError: the backend cannot run here.
    """
    name, reason = resolve(tokens.device.type) if name == "auto" else (name, "as asked")
    kinds = {"tiled": TiledReductions, "keops": KeopsReductions, "dense": DenseReductions}
    reductions: PairwiseReductions = kinds[name](tokens)
    if share.count > 1:
        if int(os.environ.get("LOCAL_RANK", share.index)) == 0:
            reductions.prepare(k)
        share.wait()
    return reductions, reason
