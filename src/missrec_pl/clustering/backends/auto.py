"""Choice of a backend by name; for `auto`, by device and a small measurement."""

import os
import time

import torch
from jaxtyping import Float
from torch import Tensor

from missrec_pl.clustering.backends.base import PairwiseReductions
from missrec_pl.clustering.backends.dense import DenseReductions
from missrec_pl.clustering.backends.keops import KeopsReductions, missing_compiler
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.distributed import Share
from missrec_pl.errors import ConfigError

BACKENDS = ("auto", "keops", "tiled", "dense")
_PROBE_TOKENS = 16384
_decisions: dict[tuple[str, int, int], tuple[str, str]] = {}


def resolve(tokens: Float[Tensor, "N D"], k: int, share: Share) -> tuple[str, str]:
    """Choose what `auto` means for these tokens, once per device, width and k.

    On CPU this is a measured rule and no probe, which would make KeOps compile for 5-30 s: at 64 dimensions it
    takes 5 to 8 times as long as tiled, at 300 dimensions 20 to 40 times (`python benchmarks/interest.py`). On
    CUDA the first process times both on a part of the tokens and the others follow it.

    Args:
        tokens: `[N, D]`.
        k: neighbours.
        share: the processes that have to agree.

    Returns:
        The backend's name and the reason, for the log.
    """
    device = tokens.device.type
    key = (device, tokens.shape[1], k)
    if key not in _decisions:
        problem = missing_compiler()
        if device != "cuda":
            reason = f"on {device} blocked matrix products beat KeOps by 5 to 40 times, without compiling"
            _decisions[key] = ("tiled", reason)
        elif problem:
            _decisions[key] = ("tiled", f"cuda, but KeOps cannot run: {problem}")
        else:
            _decisions[key] = probe(tokens[:_PROBE_TOKENS], k, share)
    return _decisions[key]


def probe(tokens: Float[Tensor, "N D"], k: int, share: Share) -> tuple[str, str]:
    """Time the search for neighbours by both backends, on process 0, after a first call that compiles.

    Args:
        tokens: `[N, D]` a part of what is to be clustered.
        k: neighbours; fewer if there are not so many tokens.
        share: the processes that have to agree.

    Returns:
        The faster backend's name and both times, for the log.
    """
    seconds = torch.zeros(2, dtype=torch.float64, device=tokens.device)
    if share.index == 0:
        k = max(1, min(k, len(tokens) - 1))
        seconds[0] = _seconds(KeopsReductions(tokens), k)
        seconds[1] = _seconds(TiledReductions(tokens), k)
    keops, tiled = share.from_first(seconds).tolist()
    measured = f"measured on {len(tokens):,} tokens: keops {keops:.3g} s, tiled {tiled:.3g} s"
    return ("keops" if keops < tiled else "tiled", measured)


def _seconds(reductions: PairwiseReductions, k: int) -> float:
    times = []
    for _ in range(2):
        start = time.perf_counter()
        float(reductions.k_smallest(k, Share()).squared_distance.sum())  # waits for the device
        times.append(time.perf_counter() - start)
    return min(times)


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
        name, reason = resolve(tokens, k, share)
    kinds = {"tiled": TiledReductions, "keops": KeopsReductions, "dense": DenseReductions}
    if name not in kinds:
        raise ConfigError(f"backend={name!r} is unknown; choose one of {', '.join(BACKENDS)}")
    reductions: PairwiseReductions = kinds[name](tokens)
    if share.count > 1:
        if int(os.environ.get("LOCAL_RANK", share.index)) == 0:
            reductions.prepare(k)
        share.wait()
    return reductions, reason
