"""The items that a step touches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from missrec_pl.data.tensor_fields import TensorFields


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
