"""Dataclasses of tensors: one way to move all of them, those of nested tables included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor


class TensorFields:
    """A frozen dataclass whose fields are tensors, mappings of them, further such dataclasses, or plain values."""

    def apply(self, fn: Callable[[Tensor], Tensor]) -> Self:
        """The same with a function applied to every tensor."""
        mapped: Self = _mapped(self, fn)
        return mapped

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The same on another device."""
        return self.apply(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same in page-locked memory, for asynchronous copies to a GPU."""
        return self.apply(Tensor.pin_memory)


def _mapped(value: Any, fn: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return fn(value)
    if isinstance(value, Mapping):
        return {name: _mapped(one, fn) for name, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _mapped(getattr(value, field.name), fn) for field in fields(value)})
    return value
