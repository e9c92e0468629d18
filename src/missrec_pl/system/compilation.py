"""How a run uses its machine: compiled blocks, fused optimisers."""

from __future__ import annotations

import inspect
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from missrec_pl.errors import ConfigError

log = logging.getLogger(__name__)

MakeOptimizer = Callable[..., Optimizer]
CUDA_GRAPHS = "reduce-overhead"
MOST_COMPILATIONS = 16
"""Graphs of a run: two parts, training and evaluation, forward and sizes of one, some to spare."""


class LimitedCompiler:
    """Compiles graphs as ``torch.compile`` does, up to a number; the following ones run as they are.

    Each shape that a graph does not allow for is another compilation, of seconds to minutes.

    Args:
        most: number of compilations.
        compiler: what compiles a graph for its inputs; None for inductor.
        mode: None, or one of ``torch.compile``'s, such as ``reduce-overhead``: CUDA graphs, on CUDA.
    """

    def __init__(
        self,
        most: int = MOST_COMPILATIONS,
        compiler: Callable[..., Any] | None = None,
        mode: str | None = None,
    ) -> None:
        self.most = most
        self.mode = mode
        self.compiler = compiler
        self.count = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any], **options: Any) -> Any:
        """Compile, or pass through."""
        self.count += 1
        if self.count == self.most + 1:
            log.warning(
                "compile=true: %d compilations, and there are still new shapes; what follows runs uncompiled. Say "
                "compile=false, or +phase.module.length_buckets=1 for fewer shapes.",
                self.most,
            )
        if self.count > self.most:
            return graph.forward
        compiler = _inductor() if self.compiler is None else self.compiler
        if self.mode is not None:
            options["config_patches"] = torch._inductor.list_mode_options(self.mode)
        return compiler(graph, inputs, **options)


def _inductor() -> Callable[..., Any]:
    from torch._dynamo import lookup_backend

    found: Callable[..., Any] = lookup_backend("inductor")
    return found


def compile_parts(parts: Iterable[nn.Module], mode: str | None = None) -> None:
    """Compile parts of a network for histories of any length; names of weights stay as they are.

    After ``MOST_COMPILATIONS`` graphs the run goes on uncompiled, with a warning.

    Args:
        parts: the parts.
        mode: see :class:`LimitedCompiler`.

    Raises:
        ConfigError: torch would compile for the CPU, and there is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "g++")
    if not torch.accelerator.is_available() and shutil.which(compiler) is None:
        raise ConfigError(
            f"compile=true: there is no C++ compiler {compiler!r} here; install it or say compile=false."
        )
    backend = LimitedCompiler(mode=mode)
    _limit_tracing()
    for part in parts:
        part.compile(dynamic=True, backend=backend)


def _limit_tracing() -> None:
    """Past these numbers torch does not even trace new shapes; by default it goes on to 256 for each function."""
    import torch._dynamo

    torch._dynamo.config.accumulated_recompile_limit = 4 * MOST_COMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = False


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
