"""The catalogue as requests see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import DataError
from missrec_pl.nn.contract import Items
from missrec_pl.serving.answers import Ranked
from missrec_pl.serving.items import ItemNames
from missrec_pl.serving.request import Request
from missrec_pl.serving.scoring import best


@dataclass(frozen=True)
class Shelf:
    """A change of the catalogue makes a new one; requests keep the one that they began with.

    Attributes:
        items: encoded, row 0 padding.
        names: what callers know them by.
        is_offered: ``[N]``, False for what was removed.
    """

    items: Items
    names: ItemNames
    is_offered: Tensor

    @classmethod
    def of(cls, items: Items, names: ItemNames) -> Shelf:
        """All items, each of them offered."""
        return cls(items, names, torch.ones(len(names), dtype=torch.bool, device=items.vectors.device))

    @cached_property
    def candidates(self) -> Items:
        """The items without the padding item."""
        return self.items.span(1)

    @cached_property
    def directions(self) -> Tensor:
        """``[N, D]`` unit vectors; of a network with several tokens an item, each of which counts alike."""
        tokens = F.normalize(self.candidates.vectors.float(), dim=-1)
        return F.normalize(tokens.flatten(1), dim=1)

    @cached_property
    def owner(self) -> Tensor:
        """``[N]`` a number for each item's domain."""
        return torch.from_numpy(self.names.domain_numbers).to(self.is_offered.device)

    @cached_property
    def counts(self) -> Tensor:
        """``[N]`` training interactions of each item."""
        return torch.from_numpy(self.names.counts).to(self.is_offered.device).double()

    def number(self, item: str | int) -> int:
        """The number ``1..N`` of an id.

        Raises:
            DataError: it is unknown.
        """
        key = str(item)
        if key not in self.names.index:
            raise DataError(f"item {key[:80]!a} is unknown.")
        return self.names.index[key]

    def offered(self, request: Request) -> Tensor:
        """``[N]`` True for what the filters of a request let through.

        Raises:
            DataError: they name an unknown item, and these are refused.
        """
        mask = torch.full_like(self.is_offered, request.allowed is None)
        for name, ids, value in (("allowed", request.allowed, True), ("blocked", request.blocked, False)):
            keys = [str(one) for one in ids or ()]
            numbers = [self.names.index[key] - 1 for key in keys if key in self.names.index]
            if request.unknown == "refuse" and len(numbers) < len(keys):
                odd = next(key for key in keys if key not in self.names.index)
                raise DataError(f"{name}: item {odd[:80]!a} is unknown.")
            mask[torch.tensor(numbers, dtype=torch.long, device=mask.device)] = value
        return mask & self.is_offered

    def most_frequent(self, offered: Tensor, k: int) -> Tensor:
        """``[k]`` the items ``1..N`` that most chose, 0 behind them."""
        values, columns = best(self.counts.masked_fill(~offered, float("-inf"))[None], k)
        return (columns[0] + 1) * (values[0] > float("-inf"))

    def nearest(self, number: int, k: int) -> Ranked:
        """The items whose vectors point in the most similar direction, by their cosines."""
        scores = self.directions @ self.directions[number - 1]
        scores.masked_fill_(~self.is_offered, float("-inf"))[number - 1] = float("-inf")
        values, columns = best(scores[None], k)
        kept = int((values > float("-inf")).sum())
        return Ranked([self.names.keys[c] for c in columns[0, :kept].tolist()], values[0, :kept].tolist())

    def with_more(self, new: Items, ids: Sequence[str], titles: Sequence[str]) -> Shelf:
        """The same with new items behind; ``new`` has no padding item."""
        items = self.items
        joined = type(items)(
            torch.cat([items.vectors, new.vectors]),
            torch.cat([items.ids, new.ids]),
            {name: torch.cat([one, new.extra[name]]) for name, one in items.extra.items()},
            first=0,
            is_rising=True,
        )
        offered = torch.cat([self.is_offered, self.is_offered.new_ones(len(ids))])
        return Shelf(joined, self.names.with_more(ids, titles), offered)

    def without(self, ids: Iterable[str | int]) -> Shelf:
        """The same where some items are offered no more.

        Raises:
            DataError: an unknown id.
        """
        numbers = [self.number(one) - 1 for one in ids]
        offered = self.is_offered.clone()
        offered[torch.tensor(numbers, dtype=torch.long)] = False
        return replace(self, is_offered=offered)
