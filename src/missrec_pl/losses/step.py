"""A training step as losses see it: candidates, and logits in chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from missrec_pl.losses.rows import Rows
from missrec_pl.nn.contract import DataShape, Histories, Items, Recommender
from missrec_pl.nn.encoding import GroupedUsers

_SCORES_PER_ROW = 32  # scores of the table's items cost as much as gathering one item of a row, and its gradient

Logits = Callable[[Tensor, Histories, Items, Items], Tensor]
"""State ``[R, D]``, what its rows come after, the items these refer to, candidates -> ``[R, C]``."""


@dataclass(eq=False, kw_only=True)
class Step(Rows):
    """A training step: ``R`` targets and ``B`` histories of this process.

    Attributes:
        network: the network that trains.
        data: sizes of the data.
        histories: ``[B]`` what the targets come after.
        users: the encoded histories; of the first view where the loss asks for views.
        views: the users of each further view; None in a phase that makes none.
        rows: histories, a row a target.
        scores: gives the logits, auxiliary scorers included.
        max_logits: logits that exist at a time; further candidates come in chunks.
        mask_duplicates: see :class:`Loss`.
        padding_candidate: see :class:`Loss`.
        duplicate_logit: see :class:`Loss`.
    """

    network: Recommender
    data: DataShape
    histories: Histories
    users: GroupedUsers
    views: Sequence[GroupedUsers] | None
    rows: Histories
    scores: Logits
    max_logits: int
    mask_duplicates: bool
    padding_candidate: bool
    duplicate_logit: float = float("-inf")

    @property
    def _is_whole(self) -> bool:
        assert self.batch.items is not None, "the data module attaches the item table"
        return self.batch.items.is_whole

    @cached_property
    def candidates(self) -> Items:
        """What rows choose among: all items if the batch came with them, else those it names, else its targets."""
        if self._is_whole:
            return self.items if self.padding_candidate else self.items.span(1)
        if self.batch.candidates is not None:
            chosen = self.batch.candidates.rows
            return replace(self.items.take(chosen), is_rising=chosen.dim() == 1)
        return self.items.take(self.batch.target).apply(self._exchanged)

    @cached_property
    def _column(self) -> Tensor:
        """``[R]`` each row's target among the candidates."""
        if self._is_whole:
            return self.batch.target - (0 if self.padding_candidate else 1)
        if self.batch.candidates is None:
            return self.own
        if self.batch.candidates.rows.dim() == 2:
            return torch.zeros_like(self.batch.target)
        return torch.searchsorted(self.batch.candidates.rows, self.batch.target)

    @cached_property
    def candidate_ids(self) -> Tensor:
        """``[C]`` or ``[R, K]`` global ids of the candidates; nothing else of them is gathered."""
        chosen = self.batch.candidates
        return self.candidates.ids if self._is_whole or chosen is None else self.items.ids[chosen.rows]

    def logits(self, candidates: Items | None = None) -> tuple[Tensor, Tensor]:
        """``[R, C]`` score over temperature plus auxiliary scorers, and the target's column ``[R]``.

        For the step's own candidates. Other copies of the target have ``duplicate_logit``, padding and filler
        minus infinity.

        Args:
            candidates: :attr:`candidates`; None spares gathering them where each row has many of its own.
        """
        if candidates is not None or not self._is_cheaper_whole:
            return self._logits(self.candidates if candidates is None else candidates, 0), self._column
        assert self.batch.candidates is not None
        scores = self.scores(self.users.state, self.rows, self.items, self.items.span(1))
        own = scores.gather(1, self.batch.candidates.rows - 1)
        return self._without_copies(own, self.candidate_ids, 0), self._column

    @property
    def _is_cheaper_whole(self) -> bool:
        """Whether scores of all items of the table cost less than gathering each row's own."""
        chosen = self.batch.candidates
        if self._is_whole or chosen is None or chosen.rows.dim() == 1:
            return False
        (count, width), table = chosen.rows.shape, len(self.items.ids) - 1
        return table <= _SCORES_PER_ROW * width and count * table <= self.max_logits

    def log_prob(self, candidates: Items) -> Tensor:
        """``[R]`` log-probability of the target among the candidates, corrected where these are a sample."""
        return -self.cross_entropy(candidates)

    def cross_entropy(self, candidates: Items) -> Tensor:
        """``[R]`` minus :meth:`log_prob`.

        Past ``max_logits`` entries each row keeps the log-sum-exp of a chunk of candidates, and the chunk's logits
        are computed again on the way back.
        """
        step = max(1, self.max_logits // len(self.batch.target))
        if candidates.ids.dim() == 2 or step >= len(candidates.ids):
            return next_item(self._corrected(candidates, 0), self._column)

        def chunk(start: int) -> tuple[Tensor, Tensor]:
            logits = self._corrected(candidates.span(start, start + step), start)
            place = self._column - start
            is_here = (place >= 0) & (place < logits.shape[1])
            own = logits.gather(1, place.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
            return logits.logsumexp(1), own.masked_fill(~is_here, 0.0)

        parts = [checkpoint(chunk, start, use_reentrant=False) for start in range(0, len(candidates.ids), step)]
        totals, targets = zip(*parts, strict=True)
        found: Tensor = torch.stack(totals).logsumexp(0) - torch.stack(targets).sum(0)
        return found

    def _logits(self, candidates: Items, start: int) -> Tensor:
        """Logits of candidates from number ``start`` on, other copies of the target at ``duplicate_logit``."""
        logits = self.scores(self.users.state, self.rows, self.items, candidates)
        return self._without_copies(logits, candidates.ids, start)

    def _without_copies(self, logits: Tensor, ids: Tensor, start: int) -> Tensor:
        may_repeat = not self._is_whole and (self.batch.candidates is None or ids.dim() == 2)
        if not (self.mask_duplicates and may_repeat):
            return logits
        is_copy = (self.target[:, None] == ids) & ~is_column(logits, self._column, start)
        return logits.masked_fill(is_copy, self.duplicate_logit)

    def _corrected(self, candidates: Items, start: int) -> Tensor:
        """Logits whose softmax estimates that over all items where the candidates are a sample."""
        logits = self._logits(candidates, start)
        chosen = self.batch.candidates
        if chosen is None:
            return logits
        if chosen.log_inclusion is None:  # each row's own, drawn from the others with equal probability
            others = candidates.ids.shape[1] - 1
            return sampled_logits(
                logits, self._column, logits.new_tensor([others / max(self.data.num_items - 1, 1)]).log()
            )
        log_inclusion = self._log_inclusion(chosen.log_inclusion)
        if candidates is self.candidates:  # the target is certain to be here: one operation fewer
            return logits - log_inclusion.expand_as(logits).scatter(1, self._column[:, None], 0.0)
        here = slice(start, start + logits.shape[1])
        return sampled_logits(logits, self._column - start, log_inclusion[..., here])

    def _log_inclusion(self, average: Tensor) -> Tensor:
        """``[C]``, or ``[R, C]`` where a history has several targets: its others are candidates for certain."""
        if self.batch.place is None:
            return average
        history = self.batch.place // self.batch.history.shape[1]
        is_certain = torch.zeros(len(self.batch), len(average), dtype=torch.bool, device=average.device)
        is_certain[history, self._column] = True
        return torch.where(is_certain[history], average.new_zeros(()), average)


def next_item(logits: Float[Tensor, "B C"], target_column: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Softmax cross-entropy over the candidates (eq. 8 with the whole catalogue as candidates)."""
    return F.cross_entropy(logits, target_column, reduction="none")


def sampled_logits(
    logits: Float[Tensor, "B C"], target_column: Int[Tensor, " B"], log_inclusion: Float[Tensor, "*R #C"]
) -> Float[Tensor, "B C"]:
    """Logits whose softmax over some of the items estimates the softmax over all of them.

    Every candidate but the row's target is weighted with the inverse of its chance of being one: ``s_j - log
    pi_j`` (the logQ correction of Bengio and Senecal, 2008). ``exp s_t + sum_{j != t} exp(s_j) / pi_j`` then has
    the sum over all items as its expectation (Horvitz and Thompson, 1952). The loss, its logarithm, is a little
    too small on average, the less so the more candidates there are. With all items as candidates nothing changes.

    Args:
        logits: scores over temperature of distinct candidates.
        target_column: place of each row's target; outside of ``0..C - 1`` if it is not among these columns.
        log_inclusion: log of the probability ``pi_j`` of being a candidate of a row with another target, ``[C]``
            for all rows, ``[B, C]``, or ``[1]`` for all candidates.
    """
    return logits - torch.where(is_column(logits, target_column), 0.0, log_inclusion)


def is_column(logits: Float[Tensor, "B C"], column: Int[Tensor, " B"], start: int = 0) -> Bool[Tensor, "B C"]:
    """Whether each of the columns, which count from ``start``, is the row's own."""
    return torch.arange(start, start + logits.shape[1], device=logits.device) == column[:, None]
