"""Softmax over the target and random items of its own, with or without a correction for how these were drawn."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.losses.base import Loss
from missrec_pl.losses.step import Step, next_item, sampled_logits
from missrec_pl.nn.fitted import Fitted, FittingContext
from missrec_pl.system.choices import chosen

Correction = Literal["none", "inclusion", "popularity", "popularity_of_negatives"]


class ItemShares(Fitted):
    """The share of the training interactions that each item has; no checkpoint carries it."""

    saved = False
    log_share: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("log_share", None, persistent=False)

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return self.log_share is None

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Count the items of the training parts."""
        self.take(torch.from_numpy(context.item_counts()[1:]))
        return {}

    def take(self, counts: Int[Tensor, " N"]) -> None:
        """Take over counts of the items 1..N. One that is never met counts as met once; padding has share 1."""
        share = counts.clamp_min(1).double() / counts.sum().clamp_min(1)
        log_share = torch.cat([share.new_zeros(1), share.log()]).float()
        self.log_share = log_share if self.log_share is None else log_share.to(self.log_share.device)


class SampledSoftmax(Loss):
    """``-log softmax`` of the target among itself and random items of its own (eSASRec's loss, arXiv 2508.06450).

    Where the random items are drawn with equal probability, ``none`` changes no ranking that it is best at.

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
        correction: ``none`` as published; ``inclusion`` raises the random items so that the sum estimates the one
            over all items; ``popularity`` subtracts the logarithm of each candidate's share of the training
            interactions (log q, as the authors of eSASRec tried it), which fits random items that are drawn in
            proportion to it; ``popularity_of_negatives`` leaves the target as it is.
        mask_duplicates: whether a random item that is the target again is taken out; published codes keep it.

    Raises:
        ConfigError: an unknown correction.
    """

    candidates, num_negatives = "per_row", 256

    def __init__(
        self,
        temperature: float = 1.0,
        eval_temperature: float | None = None,
        *,
        correction: Correction = "none",
        mask_duplicates: bool = True,
    ) -> None:
        super().__init__(temperature, eval_temperature)
        self.correction = chosen("objective.correction", correction, get_args(Correction))
        self.mask_duplicates = mask_duplicates
        self.shares = ItemShares() if correction.startswith("popularity") else None

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        if self.correction == "inclusion":
            return {"loss": step.cross_entropy(step.candidates)}
        logits, column = step.logits()
        if self.shares is not None:
            log_q = self.shares.log_share[step.candidate_ids]
            logits = less_log_q(logits, log_q, None if self.correction == "popularity" else column)
        return {"loss": next_item(logits, column)}


def less_log_q(
    logits: Float[Tensor, "R C"], log_q: Float[Tensor, "*R C"], spared: Int[Tensor, " R"] | None = None
) -> Float[Tensor, "R C"]:
    """Logits less the logarithm of each candidate's chance to be drawn; as they were in the columns ``spared``."""
    return logits - log_q if spared is None else sampled_logits(logits, spared, log_q)
