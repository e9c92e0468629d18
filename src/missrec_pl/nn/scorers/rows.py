"""What score terms read: histories, and where items stand among the candidates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.nn.memo import Memo


@dataclass(frozen=True)
class ScoredRows:
    """Rows whose candidates are scored.

    Attributes:
        history_ids: ``[B, L]`` global item ids, chronological, right-padded with 0.
        length: ``[B]`` number of items of each history, at least 1.
        candidate_ids: ``[C]`` global item ids; repeats allowed, 0 not among them.
        later_ids: ``[B, W]`` in training: what the user's training part holds from the target on, right-padded
            with 0. The counts know these rows, and terms made of counts have to forget them.
        memo: what depends on the candidates alone, of all rows that have them.
    """

    history_ids: Int[Tensor, "B L"]
    length: Int[Tensor, " B"]
    candidate_ids: Int[Tensor, " C"]
    later_ids: Int[Tensor, "B W"] | None = None
    memo: Memo = field(default_factory=Memo, repr=False, compare=False)

    @cached_property
    def _columns(self) -> tuple[Tensor, Tensor | None]:
        """Distinct candidates in rising order, and the column of each candidate among them (None: its own)."""
        ids = self.candidate_ids
        if bool((ids[1:] > ids[:-1]).all()):
            return ids, None
        distinct, inverse = ids.unique(return_inverse=True)
        return distinct, inverse

    @cached_property
    def _first(self) -> int | None:
        """The first candidate if they are a stretch without gaps."""
        first, last = self.columns[[0, -1]].tolist()
        return first if last - first + 1 == self.num_columns else None

    @property
    def num_columns(self) -> int:
        """Number of distinct candidates."""
        return len(self._columns[0])

    @property
    def columns(self) -> Int[Tensor, " K"]:
        """Distinct candidates in rising order; terms are ``[B, K]``."""
        return self._columns[0]

    def of_columns(self, table: Tensor) -> Tensor:
        """``[K, ...]`` rows of a table of all items, ``[N + 1, ...]``; a view if the candidates have no gaps."""
        if self._first is None:
            return table[self.columns]
        return table[self._first : self._first + self.num_columns]

    def find(self, ids: Int[Tensor, "*S"]) -> tuple[Int[Tensor, "*S"], Bool[Tensor, "*S"]]:
        """The column of each item, and whether it is a candidate at all."""
        distinct = self.columns
        if self._first is not None:  # a whole catalogue, or a stretch of it: nothing to search
            column = ids - self._first
            is_here = (column >= 0) & (column < len(distinct))
            return column.clamp_(0, len(distinct) - 1), is_here
        column = torch.searchsorted(distinct, ids).clamp_(max=len(distinct) - 1)
        return column, distinct[column] == ids

    @cached_property
    def met(self) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """What :meth:`find` says of the history's own items."""
        return self.find(self.history_ids)

    @cached_property
    def is_first(self) -> Bool[Tensor, "B L"]:
        """True where a non-padding item has not occurred earlier in its history."""
        ids = self.history_ids
        is_repeat = (ids[:, :, None] == ids[:, None, :]).tril(diagonal=-1).any(-1)
        return ~is_repeat & (ids != 0)

    def unmet(self, term: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """A term without what it says of the history's own items, which :class:`HistoryBias` is for."""
        column, is_here = self.met
        return term.scatter_add(1, column, -term.gather(1, column) * (is_here & self.is_first))

    def of_candidates(self, term: Float[Tensor, "B K"]) -> Float[Tensor, "B C"]:
        """A term of the distinct candidates, spread over all candidates."""
        inverse = self._columns[1]
        return term if inverse is None else term[:, inverse]

    @cached_property
    def age(self) -> Int[Tensor, "B L"]:
        """Steps back from the newest item; negative on padding."""
        position = torch.arange(self.history_ids.shape[1], device=self.history_ids.device)
        return self.length[:, None] - 1 - position

    def decayed(self, decay: Float[Tensor, ""]) -> Float[Tensor, "B L"]:
        """``decay^age``, 0 on padding."""
        weight = decay ** self.age.clamp_min(0)
        return weight * (self.history_ids != 0)
