"""Backends of the pairwise reductions behind DPC-KNN, one interface for all, chosen by name or by device."""

import logging
import os
from functools import cache

from jaxtyping import Float
from torch import Tensor

from missrec_pl.clustering.backends.base import DenseReductions, PairwiseReductions
from missrec_pl.clustering.backends.keops import KeopsReductions
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.errors import ConfigError
from missrec_pl.system import keops_trial
from missrec_pl.system.child_trial import Verdict
from missrec_pl.system.processes import Share

_log = logging.getLogger(__name__)

MOST_KEOPS_DIMENSIONS = 64
"""Up to this width KeOps keeps a token's coordinates in registers; past it, it was slower on CUDA."""


def resolve(device: str, width: int = 300) -> tuple[str, str]:
    """The backend of `auto` for a device type and a width, by rules measured once, and the reason, for the log."""
    if device == "cuda" and width > MOST_KEOPS_DIMENSIONS:
        # One H200, 300 dimensions, 131,072 tokens: .52 s against 2.09 s.
        return "tiled", f"on cuda, at {width} dimensions, blocked matrix products beat KeOps four times"
    if device == "cuda":
        return "keops", f"on cuda, at {width} dimensions, KeOps keeps a token in registers"
    # `python benchmarks/interest.py`: 5 to 8 times at 64 dimensions, 20 to 40 times at 300.
    return "tiled", f"on {device} blocked matrix products beat KeOps by 5 to 40 times, without compiling"


def make_reductions(
    name: str, tokens: Float[Tensor, "N D"], k: int, share: Share
) -> tuple[PairwiseReductions, str]:
    """Build a backend over tokens `[N, D]` that will be asked for `k` neighbours; also say why it was chosen.

    KeOps is loaded only after a child process has tried it here; the first process decides for all. What it has to
    compile is compiled by one process of each machine before the others.

    Raises:
        ConfigError: the backend cannot run here.
    """
    is_auto, reason = name == "auto", "as asked"
    if is_auto:
        name, reason = resolve(tokens.device.type, tokens.shape[1])
    if name == "keops" and (problem := _keops_problem(tokens.device.type, tokens.shape[1], share)):
        if not is_auto:
            raise ConfigError(f"backend=keops: {problem}; or choose backend=tiled, which compiles nothing")
        _warn(problem)
        name, reason = "tiled", "KeOps cannot be used here"
    kinds = {"tiled": TiledReductions, "keops": KeopsReductions, "dense": DenseReductions}
    reductions: PairwiseReductions = kinds[name](tokens)
    if share.count > 1:
        if int(os.environ.get("LOCAL_RANK", share.index)) == 0:
            reductions.prepare(k)
        share.wait()
    return reductions, reason


def _keops_problem(device: str, width: int, share: Share) -> str:
    """Why KeOps cannot be used, empty where it can; all processes get what the first one found."""

    def found() -> str:
        try:
            return keops_trial.usable(keops_trial.verdict(device, width))
        except Exception as error:  # the other processes wait for an answer
            return keops_trial.usable(
                Verdict(False, f"KeOps could not be tried ({type(error).__name__}: {error})")
            )

    return str(share.object_from_first(found() if share.index == 0 else None))


@cache
def _warn(problem: str) -> None:
    """Once per process."""
    _log.warning("dpc_knn: backend tiled instead of keops: %s; or say interest.method.backend=tiled", problem)
