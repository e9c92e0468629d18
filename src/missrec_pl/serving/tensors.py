"""Modules and the tensors that fill them: read without memory for what a file only claims to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.overrides import TorchFunctionMode

from missrec_pl.errors import DataError
from missrec_pl.nn.fitted import Fitted

_ADVICE = "export the bundle again."
_MOST_TENSORS = 20_000
_KINDS = frozenset({getattr(torch, name) for name in ("bool", "uint8", "int8", "int16", "int32", "int64")}) | {
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
}
_DRAWS = frozenset(
    f"{name}_"
    for name in (
        "normal",
        "uniform",
        "trunc_normal",
        "random",
        "exponential",
        "bernoulli",
        "orthogonal",
        "geometric",
    )
) | {f"{kind}_{name}_" for kind in ("xavier", "kaiming") for name in ("normal", "uniform")}


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers of a module by name, those that a checkpoint does not carry included."""
    return {name: slot.data for name, slot, _ in _slots(module) if slot is not None}


def fill(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Put tensors in the place of a module's weights and buffers.

    Buffers of fitted parts may have any length, for what they hold was fitted; the others have their shapes.

    Args:
        module: may be on the meta device.
        tensors: by name.
        where: the file, for messages.

    Raises:
        DataError: one is missing, unknown, or of another shape or type.
    """
    slots = {name: (slot, owner) for name, slot, owner in _slots(module)}
    if unknown := sorted(tensors.keys() - slots.keys()):
        raise DataError(f"{where}: it holds {unknown[0][:120]!a}, which the network lacks; {_ADVICE}")
    for name, (slot, owner) in slots.items():
        if name not in tensors:
            if slot is not None:
                raise DataError(f"{where}: it lacks the tensor {name}; {_ADVICE}")
            continue
        found, leaf = tensors[name], name.rpartition(".")[2]
        if slot is not None:
            _check_fits(slot, found, isinstance(owner, Fitted), f"{where}: {name}")
        if isinstance(slot, nn.Parameter):
            setattr(owner, leaf, nn.Parameter(found, requires_grad=False))
        else:
            setattr(owner, leaf, found)


def _check_fits(slot: Tensor, found: Tensor, is_fitted: bool, where: str) -> None:
    fits = slot.dim() == found.dim() if is_fitted else slot.shape == found.shape
    if not fits or slot.dtype != found.dtype:
        raise DataError(f"{where} is {_in_words(found)}, the network has {_in_words(slot)}; {_ADVICE}")


def _in_words(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _slots(module: nn.Module) -> Iterator[tuple[str, Tensor | None, nn.Module]]:
    """Names of weights and buffers, empty ones included, what they hold, and whose they are."""
    for prefix, owner in module.named_modules():
        for leaf, slot in [*owner._parameters.items(), *owner._buffers.items()]:
            yield f"{prefix}.{leaf}" if prefix else leaf, slot, owner


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules that are made inside have shapes and no memory."""
    with torch.device("meta"), _NothingDrawn():
        yield


@contextmanager
def at_most(most: int, where: str) -> Iterator[None]:
    """Modules that are made inside have not more parts than a file has tensors for.

    Raises:
        DataError: they have more.
    """
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > most:
            raise _TooManyError

    handles = [
        hooks.register_module_module_registration_hook(counted),
        hooks.register_module_parameter_registration_hook(counted),
    ]
    try:
        yield
    except DataError as error:
        if isinstance(error.__cause__, _TooManyError):
            raise DataError(f"{where}: it names more layers than it has weights for; {_ADVICE}") from error
        raise
    finally:
        for handle in handles:
            handle.remove()


class _NothingDrawn(TorchFunctionMode):
    """No random weights for tensors without memory: torch would import its compiler, seconds, to do nothing."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in _DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


class _TooManyError(Exception):
    """More modules than a bundle has tensors."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors; each gets memory of its own."""
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, str(path))


def read_tensors(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Read a file of safetensors.

    Raises:
        DataError: there is none, it is truncated, or a number in it is none.
    """
    try:
        with safe_open(str(path), framework="pt", device=device) as file:
            if (count := len(file.keys())) > _MOST_TENSORS:
                raise ValueError(f"{count:,} tensors")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: truncated or no safetensors file ({reason}); {_ADVICE}") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _KINDS:
            raise DataError(f"{path}: {name[:120]} is {_in_words(tensor)}, which no network has; {_ADVICE}")
        if tensor.is_floating_point() and tensor.numel() and not all(map(torch.isfinite, tensor.aminmax())):
            raise DataError(f"{path}: {name[:120]} holds NaN or infinity; {_ADVICE}")
    return tensors
