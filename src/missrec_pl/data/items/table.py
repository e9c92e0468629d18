"""The items that a step touches; and what moves all tensors of such a dataclass, those of nested ones included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
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


@dataclass(frozen=True)
class ItemTable(TensorFields):
    """The items that a step touches; row 0 is the padding item.

    Attributes:
        ids: ``[U]`` global item ids.
        is_missing: ``[U, M]``, True where an item lacks a modality.
        rows: per modality ``[P]``, the table rows that have it, ascending.
        features: per modality ``[P, F]``, their features; empty until they are filled in.
        is_whole: True if these are all items of the catalogue, so that rows are global ids by design.
        attributes: per attribute field ``[U, V]``, its value numbers, 0 = none.
        views: per view ``[P, F]``, other features of the rows of its modality; see :meth:`Catalogue.with_views`.
    """

    ids: Tensor
    is_missing: Tensor
    rows: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    is_whole: bool = False
    views: Mapping[str, Tensor] = field(default_factory=dict)
    attributes: Mapping[str, Tensor] = field(default_factory=dict)


def _mapped(value: Any, fn: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return fn(value)
    if isinstance(value, Mapping):
        return {name: _mapped(one, fn) for name, one in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _mapped(getattr(value, field.name), fn) for field in fields(value)})
    return value
