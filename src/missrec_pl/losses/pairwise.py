"""Losses that set the target against negatives of its own: BCE, gBCE, BPR."""

from __future__ import annotations

from abc import abstractmethod

import torch.nn.functional as F
from torch import Tensor

from missrec_pl.data.candidates import CandidateKind
from missrec_pl.errors import ConfigError
from missrec_pl.losses.base import Loss
from missrec_pl.losses.step import Step


class Pairwise(Loss):
    """Base of the losses that compare the target with random items of its own."""

    candidates: CandidateKind = "per_row"
    num_negatives = 1

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        logits, column = step.logits(step.candidates)
        place = column[:, None]
        others = logits.scatter(1, place, float("-inf"))
        count = others.isfinite().sum(1)
        return {"loss": self.compare(logits.gather(1, place)[:, 0], others, count, step.data.num_items)}

    @abstractmethod
    def compare(self, positive: Tensor, others: Tensor, count: Tensor, num_items: int) -> Tensor:
        """``[R]`` losses.

        Args:
            positive: ``[R]`` the target's logit.
            others: ``[R, C]`` the negatives', minus infinity where there is none.
            count: ``[R]`` number of negatives.
            num_items: number ``N`` of items of the data.
        """


class BCE(Pairwise):
    """Binary cross-entropy of the target and its negatives, averaged over them (SASRec's published loss)."""

    t = 0.0

    def compare(self, positive: Tensor, others: Tensor, count: Tensor, num_items: int) -> Tensor:
        """See :meth:`Pairwise.compare`."""
        target = self.power(count, num_items) * F.softplus(-positive)
        return (target + F.softplus(others).sum(1)) / (count + 1)

    def power(self, count: Tensor, num_items: int) -> Tensor:
        """``beta [R]``, what the target's term is multiplied by; see :class:`GBCE`."""
        return self.t * (count / max(num_items - 1, 1) - 1) + 1


class GBCE(BCE):
    """Generalised BCE: the target's probability to a power that undoes the overconfidence of few negatives.

    Petrov and Macdonald, *gSASRec* (RecSys 2023). ``beta = t (alpha - 1) + 1`` with ``alpha = k / (N - 1)`` for k
    negatives. In the softplus form, without the clamps of the published code.

    Args:
        t: calibration; 0 is plain BCE, 1 full calibration.
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.

    Raises:
        ConfigError: ``t`` outside 0..1.
    """

    num_negatives = 256

    def __init__(self, t: float = 0.75, temperature: float = 1.0, eval_temperature: float | None = None) -> None:
        super().__init__(temperature, eval_temperature)
        if not 0 <= t <= 1:
            raise ConfigError(f"objective.t={t}: must be a number from 0 to 1.")
        self.t = t


class BPR(Pairwise):
    """``-log sigmoid(s+ - s-)``, averaged over the negatives (Rendle et al., UAI 2009)."""

    def compare(self, positive: Tensor, others: Tensor, count: Tensor, num_items: int) -> Tensor:
        """See :meth:`Pairwise.compare`."""
        return F.softplus(others - positive[:, None]).sum(1) / count.clamp_min(1)
