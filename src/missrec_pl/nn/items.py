"""Encoded items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class Items:
    """Encoded items. The framework takes rows, chunks and gathers all tensors alike.

    Attributes:
        vectors: ``[U, ...]``; as candidates of each row ``[R, K, ...]``.
        ids: ``[U]`` global ids, row 0 the padding item; as candidates ``[C]`` without it, or ``[R, K]``.
        extra: further tensors ``[U, ...]`` by name.
        first: the first id where the ids are a stretch without gaps, known without a look at them; else None.
        is_rising: whether ids are known to rise, each once.
    """

    vectors: Tensor
    ids: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    first: int | None = None
    is_rising: bool = False

    def apply(self, change: Callable[[Tensor], Tensor]) -> Items:
        """The items with a function applied to every tensor."""
        return type(self)(
            change(self.vectors), change(self.ids), {name: change(tensor) for name, tensor in self.extra.items()}
        )

    def take(self, rows: Tensor) -> Items:
        """The given rows, of any shape, in the given order; gradients flow back to the vectors."""
        return self.apply(lambda tensor: tensor[rows])

    def span(self, start: int, stop: int | None = None) -> Items:
        """Rows ``start..stop - 1`` (views, no copy)."""
        part = self.apply(lambda tensor: tensor[start:stop])
        return replace(part, first=None if self.first is None else self.first + start, is_rising=self.is_rising)
