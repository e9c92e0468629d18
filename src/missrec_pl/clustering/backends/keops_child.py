"""The child process that tries KeOps: ``python -m missrec_pl.clustering.backends.keops_child DEVICE WIDTH``.

It compiles what DPC-KNN needs, and prints by how much its squared distances differ from the tiled backend's.
"""

from __future__ import annotations

import json
import signal
import sys

import torch
from torch import Tensor

from missrec_pl.clustering.backends.base import exact_arithmetic
from missrec_pl.clustering.backends.keops import KeopsReductions
from missrec_pl.clustering.backends.tiled import TiledReductions
from missrec_pl.system import keops_trial
from missrec_pl.system.processes import Share

_TOKENS, _NEIGHBORS = 256, 16


def difference(device: str, width: int) -> float:
    """Largest difference of squared distances, relative to the largest distance."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(_TOKENS, width, generator=generator).to(device)
    every = torch.arange(_TOKENS, device=device)
    with exact_arithmetic(tokens.device):
        found, expected = ([*_answers(make(tokens), every)] for make in (KeopsReductions, TiledReductions))
        largest = max(float(one.max()) for one in expected)
        return max(float((one - other).abs().max()) / largest for one, other in zip(found, expected, strict=True))


def _answers(reductions: TiledReductions, every: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    reductions.prepare(_NEIGHBORS)
    nearest = reductions.k_smallest(_NEIGHBORS, Share()).squared_distance
    centers = every[::8]
    return nearest, reductions.nearest_denser(every, every[1:]), reductions.nearest_center(centers, every).double()


if __name__ == "__main__":
    signal.alarm(int(keops_trial.LIMIT_S))  # if nobody is left who would end it
    wanted = sys.argv[1] if sys.argv[1] != "cuda" or torch.cuda.is_available() else "cpu"
    print(json.dumps({"difference": difference(wanted, int(sys.argv[2]))}))
