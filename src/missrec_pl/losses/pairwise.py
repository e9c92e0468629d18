"""Losses that set the target against negatives of its own: BCE, gBCE, BPR."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.data.candidates import CandidateKind
from missrec_pl.errors import ConfigError
from missrec_pl.losses.base import Loss
from missrec_pl.losses.step import Step

_GBCE_LEAST, _BPR_LEAST = 1e-10, 1e-10  # what the published codes clamp with, or add inside the logarithm


class Pairwise(Loss):
    """Base of the losses that compare the target with random items of its own.

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
        mask_duplicates: whether a negative that is the target again is taken out; published codes keep it.
    """

    candidates: CandidateKind = "per_row"
    num_negatives = 1

    def __init__(
        self, temperature: float = 1.0, eval_temperature: float | None = None, *, mask_duplicates: bool = True
    ) -> None:
        super().__init__(temperature, eval_temperature)
        self.mask_duplicates = mask_duplicates

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        logits, column = step.logits()
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
    negatives. In the softplus form, without the clamps of the published code: with them a target whose logit lies
    below -23 (``-23 / beta`` where ``beta > 1``) or above 23 learns nothing.

    Args:
        t: calibration; 0 is plain BCE, 1 full calibration.
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
        mask_duplicates: see :class:`Pairwise`.
        reference: repeats the published clamps.

    Raises:
        ConfigError: ``t`` outside 0..1.
    """

    num_negatives = 256

    def __init__(
        self,
        t: float = 0.75,
        temperature: float = 1.0,
        eval_temperature: float | None = None,
        *,
        mask_duplicates: bool = True,
        reference: bool = False,
    ) -> None:
        super().__init__(temperature, eval_temperature, mask_duplicates=mask_duplicates)
        if not 0 <= t <= 1:
            raise ConfigError(f"objective.t={t}: must be a number from 0 to 1.")
        self.t = t
        self.reference = reference

    def compare(self, positive: Tensor, others: Tensor, count: Tensor, num_items: int) -> Tensor:
        """See :meth:`Pairwise.compare`."""
        if not self.reference:
            return super().compare(positive, others, count, num_items)
        beta = self.power(count, num_items).double()
        most = torch.finfo(torch.float64).max
        probability = positive.double().sigmoid().clamp(_GBCE_LEAST, 1 - _GBCE_LEAST)
        odds = 1 / (probability.pow(-beta).clamp(1 + _GBCE_LEAST, most) - 1)
        transformed = odds.clamp(_GBCE_LEAST, most).log()
        return ((F.softplus(-transformed) + F.softplus(others).sum(1)) / (count + 1)).to(positive.dtype)


class BPR(Pairwise):
    """``-log sigmoid(s+ - s-)``, averaged over the negatives (Rendle et al., UAI 2009).

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
        mask_duplicates: see :class:`Pairwise`.
        reference: adds 1e-10 inside the logarithm, as RecBole does: a target far below its negative then hardly
            learns.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        eval_temperature: float | None = None,
        *,
        mask_duplicates: bool = True,
        reference: bool = False,
    ) -> None:
        super().__init__(temperature, eval_temperature, mask_duplicates=mask_duplicates)
        self.reference = reference

    def compare(self, positive: Tensor, others: Tensor, count: Tensor, num_items: int) -> Tensor:
        """See :meth:`Pairwise.compare`."""
        behind = others - positive[:, None]
        losses = -(_BPR_LEAST + torch.sigmoid(-behind)).log() if self.reference else F.softplus(behind)
        return losses.sum(1) / count.clamp_min(1)
