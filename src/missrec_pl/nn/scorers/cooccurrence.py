"""How often candidates stood close to the history's items in the training sequences of others."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from missrec_pl.data.global_sequences import PAIR_WINDOW
from missrec_pl.fitting.sequence_pairs import ItemPairs, item_pairs
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems
from missrec_pl.nn.scorers.base import ScoredRows, Scorer
from missrec_pl.nn.scorers.pair_planner import ENTRY, ITEMS, PLACE, SOURCE, PairPlanner, is_by_item
from missrec_pl.nn.scorers.sparse_product import is_available, sums_of_rows
from missrec_pl.system.precision import in_float32
from missrec_pl.system.shapes import are_fixed

_MET = 16  # placing a pair by itself takes as long as weighing so many for a sparse product


class PairCounts(Fitted):
    """Which items stood close to which in training sequences (:class:`ItemPairs`); no checkpoint carries them."""

    saved = False
    offsets: Tensor
    neighbours: Tensor
    counts: Tensor
    frequency: Tensor
    is_cut: Tensor
    kept: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("offsets", "neighbours", "counts", "frequency", "is_cut", "kept"):
            self.register_buffer(name, None, persistent=False)

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return self.offsets is None

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Count the pairs."""
        items, offsets = context.training_parts()
        self.take(item_pairs(items, offsets, context.catalogue.num_items))
        return {}

    def take(self, pairs: ItemPairs) -> None:
        """Take over counts."""
        self.offsets, self.neighbours = pairs.offsets, pairs.neighbours
        self.counts, self.frequency = pairs.counts, pairs.frequency
        self.is_cut, cut = pairs.is_cut, pairs.is_cut.nonzero()[:, 0]
        source, entry = self.entries(cut)
        self.kept = self.key(cut[source], self.neighbours[entry])  # of the items that lost some; in rising order

    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: new items stood near none. Rows of training cannot be scored any more."""
        self.offsets = torch.cat([self.offsets, self.offsets[-1:].expand(len(new.ids))])
        self.frequency, self.is_cut = new.padded(self.frequency), new.padded(self.is_cut)

    def check(self) -> None:
        """See :meth:`Fitted.check`."""
        if self.is_empty:
            return
        ends, pairs, rows = self.offsets, len(self.neighbours), len(self.frequency)
        if len(ends) != rows + 1 or len(self.counts) != pairs or bool((ends[1:] < ends[:-1]).any()):
            raise ValueError("pairs of items that are not there")
        if int(ends[0]) != 0 or int(ends[-1]) != pairs:
            raise ValueError("pairs that are not there")
        if bool(((self.neighbours < 1) | (self.neighbours >= rows)).any()):
            raise ValueError("neighbours that are not there")

    def entries(self, items: Int[Tensor, " S"]) -> tuple[Int[Tensor, " E"], Int[Tensor, " E"]]:
        """The pairs of some items: which of them each is of, and where it is stored."""
        degree = self.degree(items)
        source = torch.repeat_interleave(torch.arange(len(items), device=items.device), degree)
        first = degree.cumsum(0) - degree
        return source, torch.arange(len(source), device=items.device) + (self.offsets[items] - first)[source]

    def degree(self, items: Int[Tensor, " S"]) -> Int[Tensor, " S"]:
        """Number of pairs of each item."""
        return self.offsets[items + 1] - self.offsets[items]

    def key(self, source: Int[Tensor, " P"], other: Int[Tensor, " P"]) -> Int[Tensor, " P"]:
        """A number for each pair, rising with the source and then the other."""
        return source * len(self.frequency) + other

    def stored(
        self,
        is_pair: Bool[Tensor, "*S"],
        is_asked: Bool[Tensor, "*S"],
        source: Int[Tensor, "*S"],
        other: Int[Tensor, "*S"],
    ) -> Bool[Tensor, "*S"]:
        """The pairs that the counts hold; looked up where asked, which is where it matters, of cut items."""
        is_asked = is_asked & self.is_cut[source]
        asked = None if are_fixed(source.device) else is_asked.nonzero(as_tuple=True)
        key = self.key(source, other) if asked is None else self.key(source[asked], other[asked])
        is_kept = self.kept[torch.searchsorted(self.kept, key).clamp_(max=len(self.kept) - 1)] == key
        return is_pair & (is_kept | ~is_asked) if asked is None else is_pair.index_put(asked, is_kept)


class Cooccurrence(Scorer):
    """``weight log(1 + gain c(u, i))``, ``c(u, i) = sum_j decay^age(j) sum_r strength_r c_r(j, i) / sqrt(n(j))``.

    The sums run over the history's items j and the relations r: so many steps after j, or before it. All
    constants are learned; they start at values that work for neighbours alone (`baselines.HybridKNN`).

    A training row finds its own transition, and what its user did later, among the counts. What they hold of both
    is subtracted, so that a row is scored by what *other* users did, as it will be at evaluation. A row shows
    ``PAIR_WINDOW`` items from the target on: pairs with what lies beyond them, or before a history that is cut,
    stay where an item of the history occurs there again. The history's own items have 0.

    Args:
        data: see :class:`Scorer`.
        pair_decay: initial strength of each step beyond the first between the two items.
        backward: initial strength of what came before j, against 1 for what came after it.
        decay: initial weight of each step back in the history.
        gain: initial scale of the counts.
        weight: initial weight of the term.
    """

    of_catalogue = True

    def __init__(
        self,
        data: DataShape,
        *,
        pair_decay: float = 0.8,
        backward: float = 0.5,
        decay: float = 0.8,
        gain: float = 20.0,
        weight: float = 1.0,
    ) -> None:
        super().__init__(data)
        self.fitted["pairs"] = PairCounts()
        strength = pair_decay ** torch.arange(PAIR_WINDOW, dtype=torch.get_default_dtype())
        self.log_strength = nn.Parameter(torch.cat([strength, backward * strength]).log())
        self.log_gain = nn.Parameter(torch.tensor(gain).log())
        self.decay_logit = nn.Parameter(torch.logit(torch.tensor(decay)))
        self.weight = nn.Parameter(torch.tensor(weight))

    @property
    def pairs(self) -> PairCounts:
        """The counts."""
        pairs = self.fitted["pairs"]
        assert isinstance(pairs, PairCounts)
        return pairs

    def planner(self) -> PairPlanner:
        """See :meth:`Scorer.planner`."""
        return PairPlanner(self.pairs.offsets.numpy(force=True), len(self.pairs.frequency) - 1)

    def of_rows(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """See :meth:`Scorer.of_rows`.

        Raises:
            RuntimeError: the pairs were not counted.
        """
        if self.pairs.is_empty:
            raise RuntimeError("the co-occurrence scorer has no counts: fit() them first")
        strength = self.log_strength.exp()
        frequency = self.pairs.frequency[rows.history_ids].clamp_min(1)
        weight = rows.decayed(self.decay_logit.sigmoid()) / frequency.sqrt()
        total = self._sums(rows, weight, strength)
        if rows.future_ids is not None:
            line, own = self._own_sums(rows, weight, strength)
            column, is_here = rows.find(line)
            total = total.scatter_add(1, column, -own * is_here)
        return rows.unmet(self.weight * torch.log1p(self.log_gain.exp() * total.clamp_min(0)))

    def nominees(self, rows: ScoredRows, count: int) -> Int[Tensor, "B S"]:
        """See :meth:`Scorer.nominees`: what stood close to the history's items, strongest first."""
        width, num_items = rows.history_ids.shape[1], len(self.pairs.frequency)
        weight = rows.decayed(self.decay_logit.sigmoid())
        weight = weight / self.pairs.frequency[rows.history_ids].clamp_min(1).sqrt()
        source, entry = self.pairs.entries(rows.history_ids.flatten())
        value = (self.pairs.counts[entry] @ self.log_strength.exp()) * weight.flatten()[source]
        key, place = (source // width * num_items + self.pairs.neighbours[entry]).unique(return_inverse=True)
        total = value.new_zeros(len(key)).index_add(0, place, value)
        owner = key // num_items
        order = total.argsort(descending=True)
        order = order[owner[order].argsort(stable=True)]
        owner = owner[order]
        rank = torch.arange(len(order), device=owner.device) - torch.searchsorted(owner, owner)
        kept = rank < count
        found = rows.history_ids.new_zeros(len(weight), count)
        found[owner[kept], rank[kept]] = (key % num_items)[order][kept]
        return found

    def _sums(
        self, rows: ScoredRows, weight: Float[Tensor, "B L"], strength: Float[Tensor, " R"]
    ) -> Float[Tensor, "B K"]:
        """``c(u, i)`` by all training sequences."""
        (num_rows, width), num_columns = rows.history_ids.shape, rows.num_columns
        if self._is_product(rows):
            known = self.pairs.offsets, self.pairs.neighbours - 1, self.pairs.counts @ strength
            return sums_of_rows(rows.history_ids, weight, *known, num_columns)
        source, entry, place, num_items = self._entries(rows)
        column, is_here = rows.find(self.pairs.neighbours[entry])
        # Whichever is less: the strength of every pair once, or of those that the items meet.
        is_dense = len(entry) > len(self.pairs.counts)
        pair = (self.pairs.counts @ strength)[entry] if is_dense else self.pairs.counts[entry] @ strength
        if place is not None:  # few items, each in many histories: the candidates of each item once
            block = pair.new_zeros(num_items * num_columns)
            block = block.index_add(0, source * num_columns + column, pair * is_here)
            of_items = weight.new_zeros(num_rows, num_items).scatter_add(1, place.view(num_rows, width), weight)
            with in_float32(weight.device):
                return of_items @ block.view(num_items, num_columns)
        total = pair.new_zeros((num_rows + 1) * num_columns)
        of_source = nn.functional.pad(weight.flatten(), (0, 1))[source]
        total = total.index_add(0, source // width * num_columns + column, pair * is_here * of_source)
        return total.view(num_rows + 1, num_columns)[:num_rows]

    def _is_product(self, rows: ScoredRows) -> bool:
        """Whether many rows are scored against a whole catalogue without gradients."""
        pairs, ids = self.pairs, rows.history_ids
        if torch.is_grad_enabled() or are_fixed(ids.device) or pairs.counts.dtype != self.weight.dtype:
            return False
        if rows.num_columns != len(pairs.frequency) - 1 or rows.first != 1:
            return False
        return _MET * int(pairs.degree(ids.flatten()).sum()) > len(pairs.counts) and is_available()

    def _entries(self, rows: ScoredRows) -> tuple[Tensor, Tensor, Tensor | None, int]:
        """The pairs of the history's items, as :class:`PairPlanner` has them, and the number of distinct items."""
        if rows.plans.keys() >= {SOURCE, ENTRY} and are_fixed(rows.history_ids.device):
            return rows.plans[SOURCE], rows.plans[ENTRY], rows.plans.get(PLACE), len(rows.plans.get(ITEMS, ()))
        every = rows.history_ids.flatten()
        items, place = every.unique(return_inverse=True)
        met = int(self.pairs.degree(every).sum())
        if is_by_item(len(rows.length), len(items), rows.num_columns, met):
            return *self.pairs.entries(items), place, len(items)
        return *self.pairs.entries(every), None, 0

    def _own_sums(
        self, rows: ScoredRows, weight: Float[Tensor, "B L"], strength: Float[Tensor, " R"]
    ) -> tuple[Int[Tensor, "B S"], Float[Tensor, "B S"]]:
        """The part of ``c(u, i)`` that the row's own user brought in: items, and what each place adds to it."""
        line = rows.own_line
        # Every occurrence of j in the line carries the weight of every occurrence of j in the history.
        same = (line[:, :, None] == rows.history_ids[:, None, :]) & (line != 0)[:, :, None]
        carried = (same.to(weight.dtype) @ weight[:, :, None])[:, :, 0]
        near, around = _windows(line), _windows(carried)
        is_pair = (near != line[:, :, None]) & (near != 0) & (line != 0)[:, :, None]
        if len(self.pairs.kept):
            is_met = same.any(-1)
            is_asked = is_pair & _windows(is_met) & ~is_met[:, :, None]
            is_pair = self.pairs.stored(is_pair, is_asked, near, line[:, :, None].expand_as(near))
        forward, backward = strength.view(2, PAIR_WINDOW)
        relation = torch.cat([forward.flip(0), forward.new_zeros(1), backward])  # from the farthest before on
        return line, (around * is_pair) @ relation


def _windows(line: Tensor) -> Tensor:
    """``[B, S, 2 W + 1]`` what stands up to ``W`` places before and behind each place; 0 outside of the line."""
    return nn.functional.pad(line, (PAIR_WINDOW, PAIR_WINDOW)).unfold(1, 2 * PAIR_WINDOW + 1, 1)
