"""How a run uses its machine: precision of products, compiled blocks, fused optimisers."""

from __future__ import annotations

import inspect
import os
import shutil
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from missrec_pl.errors import ConfigError

MakeOptimizer = Callable[..., Optimizer]


def compile_parts(parts: Iterable[nn.Module]) -> None:
    """Compile parts of a network for histories of any length; names of weights stay as they are.

    Raises:
        ConfigError: torch would compile for the CPU, and there is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "g++")
    if not torch.accelerator.is_available() and shutil.which(compiler) is None:
        raise ConfigError(
            f"compile=true: there is no C++ compiler {compiler!r} here; install it or say compile=false."
        )
    for part in parts:
        part.compile(dynamic=True)


def with_fused_kernel(make: MakeOptimizer, fused: bool | None) -> MakeOptimizer:
    """An optimiser that updates all weights in one kernel, or not.

    Args:
        make: builds the optimiser; one that has no fused form stays as it is.
        fused: None is True on CUDA, where the weights are when the optimiser is built.
    """
    if "fused" not in inspect.signature(make).parameters:
        return make

    def build(groups: list[dict[str, Any]]) -> Optimizer:
        on_cuda = all(weight.device.type == "cuda" for group in groups for weight in group["params"])
        return make(groups, fused=on_cuda if fused is None else fused)

    return build
