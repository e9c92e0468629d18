"""The items that a step touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class ItemTable:
    """The items that a step touches; row 0 is the padding item.

    Attributes:
        ids: ``[U]`` global item ids.
        is_missing: ``[U, M]``, True where an item lacks a modality.
        rows: per modality ``[P]``, the table rows that have it, ascending.
        features: per modality ``[P, F]``, their features; empty until they are filled in.
        is_whole: True if these are all items of the catalogue, so that rows are global ids by design.
        views: per view ``[P, F]``, other features of the rows of its modality; see :meth:`Catalogue.with_views`.
    """

    ids: Tensor
    is_missing: Tensor
    rows: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    is_whole: bool = False
    views: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ItemTable:
        """The table on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device, non_blocking=non_blocking) for name, tensor in tensors.items()}

        return ItemTable(
            self.ids.to(device, non_blocking=non_blocking),
            self.is_missing.to(device, non_blocking=non_blocking),
            move(self.rows),
            move(self.features),
            self.is_whole,
        )

    def pin_memory(self) -> ItemTable:
        """The table in page-locked memory, for asynchronous copies to a GPU."""
        return ItemTable(
            self.ids.pin_memory(),
            self.is_missing.pin_memory(),
            {name: rows.pin_memory() for name, rows in self.rows.items()},
            {name: features.pin_memory() for name, features in self.features.items()},
            self.is_whole,
        )
