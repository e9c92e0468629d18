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
from missrec_pl.system.precision import in_float32

_PRODUCTS_PER_PAIR = 400  # so many products of a matrix product take as long as to place one pair by itself


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

    def is_stored(
        self,
        is_pair: Bool[Tensor, "B S"],
        source: Int[Tensor, "B S"],
        is_source_met: Bool[Tensor, "B S"],
        other: Int[Tensor, "B S"],
        is_other_met: Bool[Tensor, "B S"],
    ) -> Bool[Tensor, "B S"]:
        """The pairs that the counts hold; looked up where it matters: met to unmet, of items that lost some."""
        if not len(self.kept):
            return is_pair
        asked = (is_pair & is_source_met & ~is_other_met & self.is_cut[source]).nonzero(as_tuple=True)
        key = self.key(source[asked], other[asked])
        place = torch.searchsorted(self.kept, key).clamp_(max=len(self.kept) - 1)
        return is_pair.index_put(asked, self.kept[place] == key)


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
            total = total - self._own_sums(rows, weight, strength)
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
        every = rows.history_ids.flatten()
        items, place = every.unique(return_inverse=True)
        met = self.pairs.degree(every).sum()
        if num_rows * len(items) * num_columns < _PRODUCTS_PER_PAIR * met:
            # Few items, each in many histories: the candidates of each item once.
            source, column, values = self._pairs_of(items, rows, strength)
            block = values.new_zeros(len(items) * num_columns).index_add(0, source * num_columns + column, values)
            of_items = weight.new_zeros(num_rows, len(items)).scatter_add(1, place.view(num_rows, width), weight)
            with in_float32(weight.device):
                return of_items @ block.view(len(items), num_columns)
        source, column, values = self._pairs_of(every, rows, strength)
        total = values.new_zeros(num_rows * num_columns)
        total = total.index_add(0, source // width * num_columns + column, values * weight.flatten()[source])
        return total.view(num_rows, num_columns)

    def _pairs_of(
        self, items: Int[Tensor, " S"], rows: ScoredRows, strength: Float[Tensor, " R"]
    ) -> tuple[Int[Tensor, " E"], Int[Tensor, " E"], Float[Tensor, " E"]]:
        """The pairs of some items: which of them it is of, the candidate's column, and the pair's strength."""
        source, entry = self.pairs.entries(items)
        column, is_here = rows.find(self.pairs.neighbours[entry])
        # Whichever is less: the strength of every pair once, or of those that the items meet.
        is_dense = len(entry) > len(self.pairs.counts)
        pair = (self.pairs.counts @ strength)[entry] if is_dense else self.pairs.counts[entry] @ strength
        return source, column, pair * is_here

    def _own_sums(
        self, rows: ScoredRows, weight: Float[Tensor, "B L"], strength: Float[Tensor, " R"]
    ) -> Float[Tensor, "B K"]:
        """The part of ``c(u, i)`` that the row's own user brought in."""
        assert rows.future_ids is not None, "asked before"
        width = rows.history_ids.shape[1]
        line = nn.functional.pad(rows.history_ids, (0, rows.future_ids.shape[1]))
        after = rows.length[:, None] + torch.arange(rows.future_ids.shape[1], device=line.device)
        line = line.scatter(1, after, rows.future_ids)
        # Every occurrence of j in the line carries the weight of every occurrence of j in the history.
        same = (line[:, :, None] == rows.history_ids[:, None, :]) & (line != 0)[:, :, None]
        is_met = same.any(-1)
        carried = (same.to(weight.dtype) @ weight[:, :, None])[:, :, 0]
        own = torch.zeros_like(carried)
        for gap in range(1, min(PAIR_WINDOW, width + rows.future_ids.shape[1] - 1) + 1):
            is_pair = (line[:, gap:] != line[:, :-gap]) & (line[:, gap:] != 0)
            earlier, later = (line[:, :-gap], is_met[:, :-gap]), (line[:, gap:], is_met[:, gap:])
            forward = strength[gap - 1] * carried[:, :-gap] * self.pairs.is_stored(is_pair, *earlier, *later)
            backward = (
                strength[PAIR_WINDOW + gap - 1]
                * carried[:, gap:]
                * self.pairs.is_stored(is_pair, *later, *earlier)
            )
            own = own + nn.functional.pad(forward, (gap, 0)) + nn.functional.pad(backward, (0, gap))
        column, is_here = rows.find(line)
        return own.new_zeros(len(own), rows.num_columns).scatter_add(1, column, own * is_here)
