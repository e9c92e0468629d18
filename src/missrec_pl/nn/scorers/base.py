"""Auxiliary scorers: what they read, and how they are added to the logits beside the network's own score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.data.plans import Planner
from missrec_pl.nn.contract import DataShape, Histories, Items
from missrec_pl.nn.fitted import Fitted
from missrec_pl.system.shapes import are_fixed


@dataclass(frozen=True)
class ScoredRows:
    """Rows whose candidates are scored.

    Attributes:
        history_ids: ``[B, L]`` global item ids, chronological, right-padded with 0.
        length: ``[B]`` number of items of each history.
        candidate_ids: global item ids, 0 not among them: ``[C]`` of all rows, or ``[B, K]`` of each; repeats
            allowed.
        future_ids: ``[B, W]`` in training: what the user's training part holds from the target on, right-padded
            with 0. The counts know these rows, and scorers made of counts have to forget them.
        plans: what the loader has found of these rows, by name.
        known_first: the first candidate where they are known to be a stretch without gaps.
        is_rising: whether the candidates are known to rise, each once.
    """

    history_ids: Int[Tensor, "B L"]
    length: Int[Tensor, " B"]
    candidate_ids: Int[Tensor, "*C"]
    future_ids: Int[Tensor, "B W"] | None = None
    plans: Mapping[str, Tensor] = field(default_factory=dict)
    known_first: int | None = None
    is_rising: bool = False

    @classmethod
    def of(cls, history: Histories, items: Items, candidates: Items) -> ScoredRows:
        """What the framework's histories and candidates say."""
        known = candidates.first, candidates.is_rising or candidates.first is not None
        return cls(items.ids[history.rows], history.length, candidates.ids, history.future, history.plans, *known)

    @cached_property
    def _columns(self) -> tuple[Tensor, Tensor | None]:
        """Distinct candidates in rising order, and the column of each candidate among them (None: its own).

        With fixed shapes repeats stay where they are sorted to, and the first of them is everyone's column.
        """
        ids = self.candidate_ids
        if self.is_rising:
            return ids, None
        if ids.dim() == 1 and are_fixed(ids.device):
            ordered = ids.sort().values
            return ordered, torch.searchsorted(ordered, ids)
        if ids.dim() == 1 and bool((ids[1:] > ids[:-1]).all()):
            return ids, None
        distinct, inverse = ids.unique(return_inverse=True)
        return distinct, inverse

    @cached_property
    def first(self) -> int | None:
        """The first candidate if they are a stretch without gaps."""
        if self.known_first is not None or are_fixed(self.candidate_ids.device):
            return self.known_first
        first, last = self.columns[[0, -1]].tolist()
        return first if last - first + 1 == self.num_columns else None

    @property
    def num_columns(self) -> int:
        """Number of distinct candidates."""
        return len(self._columns[0])

    @property
    def columns(self) -> Int[Tensor, " K"]:
        """Distinct candidates in rising order; scorers give ``[B, K]``."""
        return self._columns[0]

    def find(self, ids: Int[Tensor, "*S"]) -> tuple[Int[Tensor, "*S"], Bool[Tensor, "*S"]]:
        """The column of each item, and whether it is a candidate at all."""
        distinct = self.columns
        if self.first is not None:  # a whole catalogue, or a stretch of it: nothing to search
            column = ids - self.first
            is_here = (column >= 0) & (column < len(distinct))
            return column.clamp_(0, len(distinct) - 1), is_here
        column = torch.searchsorted(distinct, ids).clamp_(max=len(distinct) - 1)
        return column, distinct[column] == ids

    @cached_property
    def met(self) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """What :meth:`find` says of the history's own items."""
        return self.find(self.history_ids)

    @cached_property
    def own_line(self) -> Int[Tensor, "B S"]:
        """The history, and in training behind it what its user chose from the target on; then 0."""
        if self.future_ids is None:
            return self.history_ids
        width = self.future_ids.shape[1]
        after = self.length[:, None] + torch.arange(width, device=self.length.device)
        return nn.functional.pad(self.history_ids, (0, width)).scatter(1, after, self.future_ids)

    @cached_property
    def is_first(self) -> Bool[Tensor, "B L"]:
        """True where a non-padding item has not occurred earlier in its history."""
        ids = self.history_ids
        is_repeat = (ids[:, :, None] == ids[:, None, :]).tril(diagonal=-1).any(-1)
        return ~is_repeat & (ids != 0)

    def unmet(self, scores: Float[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """Scores without those of the history's own items, which :class:`SeenItems` is for."""
        column, is_here = self.met
        return scores.scatter_add(1, column, -scores.gather(1, column) * (is_here & self.is_first))

    def of_candidates(self, scores: Float[Tensor, "B K"]) -> Float[Tensor, "B _C"]:
        """Scores of the distinct candidates, spread over all candidates."""
        inverse = self._columns[1]
        if inverse is None:
            return scores
        return scores[:, inverse] if inverse.dim() == 1 else scores.gather(1, inverse)

    @cached_property
    def age(self) -> Int[Tensor, "B L"]:
        """Steps back from the newest item; negative on padding."""
        position = torch.arange(1, self.history_ids.shape[1] + 1, device=self.history_ids.device)
        return self.length[:, None] - position

    @cached_property
    def _steps(self) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        return self.age.clamp_min(0), self.history_ids != 0

    def decayed(self, decay: Float[Tensor, ""]) -> Float[Tensor, "B L"]:
        """``decay^age``, 0 on padding."""
        age, is_item = self._steps
        return decay**age * is_item


class Scorer(nn.Module):
    """Scores candidates by what simple methods know; open to every network.

    A leaf implements :meth:`of_rows`, or :meth:`forward` if it reads something else.

    Attributes:
        of_catalogue: whether its fitted statistics belong to one catalogue: pre-training leaves it out.
        by_modality: see :class:`Recommender`.
        fitted: parts that are fitted to the training data.

    Args:
        data: sizes of the data.
    """

    of_catalogue: ClassVar[bool] = False
    by_modality: ClassVar[tuple[str, ...]] = ()
    fitted: nn.ModuleDict

    def __init__(self, data: DataShape) -> None:
        super().__init__()
        self.fitted = nn.ModuleDict()

    def planner(self) -> Planner | None:
        """What the loader shall find for each training batch of fixed shape; asked once the scorer is fitted."""
        return None

    def forward(self, history: Histories, items: Items, candidates: Items) -> Tensor:
        """What is added to the logits.

        Args:
            history: a row a target: what stands before it.
            items: what the history refers to.
            candidates: shared ones ``[C]`` or each row's own ``[R, K]``.

        Returns:
            ``[R, C]`` or ``[R, K]``.
        """
        rows = ScoredRows.of(history, items, candidates)
        return rows.of_candidates(self.of_rows(rows))

    def index_tables(self) -> Mapping[str, tuple[Tensor, Tensor]]:
        """Items ``[P]`` and their vectors ``[P, F]`` by name, for an index; see :meth:`index_queries`."""
        return {}

    def index_queries(self, rows: ScoredRows) -> Mapping[str, Tensor]:
        """By the names of :meth:`index_tables` ``[R, F]``: a large inner product means a large score."""
        return {}

    def nominees(self, rows: ScoredRows, count: int) -> Tensor | None:
        """``[R, S]``, ``S <= count``, the best candidates where no index is needed to know them; 0 behind them."""
        return None

    def of_rows(self, rows: ScoredRows) -> Tensor:
        """``[R, D]`` of the distinct candidates, in rising order of their ids."""
        raise NotImplementedError


class SeenItems(Scorer):
    """Two learned scalars for candidates that the user has already met (seen-item bias).

    Cosine scores put the items of the history on the first ranks although targets hardly ever repeat. One
    scalar is added to the logits of every item of the history, a second one to those of its last item.
    """

    def __init__(self, data: DataShape) -> None:
        super().__init__(data)
        self.seen = nn.Parameter(torch.zeros(()))
        self.last = nn.Parameter(torch.zeros(()))

    def of_rows(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """See :meth:`Scorer.of_rows`."""
        values = self.seen * rows.is_first + self.last * (rows.age == 0)
        column, is_here = rows.met
        bias = values.new_zeros(len(values), rows.num_columns)
        return bias.scatter_add_(1, column, values * is_here)


class Scorers(nn.ModuleDict):
    """The auxiliary scorers of a run, by name.

    Args:
        scorers: the scorers; their order is that of the sum.
    """

    def __init__(self, scorers: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(dict(scorers or {}))

    def add(self, logits: Tensor, history: Histories, items: Items, candidates: Items) -> Tensor:
        """The logits with all scorers added; those that read rows share what they look up."""
        if not len(self):
            return logits
        sharing = [one for one in self.values() if isinstance(one, Scorer) and type(one).forward is Scorer.forward]
        if sharing:
            rows = ScoredRows.of(history, items, candidates)
            total = reduce(torch.add, [one.of_rows(rows) for one in sharing])
            logits = logits + rows.of_candidates(total)
        for one in self.values():
            if one not in sharing:
                logits = logits + one(history, items, candidates)
        return logits

    def planners(self) -> list[Planner]:
        """What the loader shall find for the scorers."""
        found = [one.planner() for one in self.values() if isinstance(one, Scorer)]
        return [planner for planner in found if planner is not None]

    def fitted_parts(self) -> list[Fitted]:
        """The fitted parts of all scorers."""
        return [part for part in self.modules() if isinstance(part, Fitted)]
