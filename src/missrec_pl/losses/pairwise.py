"""Losses that set the target against negatives of its own: BCE, gBCE, BPR."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.losses.base import Loss, Step


class BCE(Loss):
    """Binary cross-entropy of the target and its negatives, averaged over them (SASRec's published loss).

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
    """

    candidates, num_negatives = "per_row", 1

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        positive, others, count = split(*step.logits(step.candidates))
        beta = self.power(count, step.data.num_items)
        return {"loss": (beta * F.softplus(-positive) + F.softplus(others).sum(1)) / (count + 1)}

    def power(self, num_negatives: Tensor, num_items: int) -> Tensor | float:
        """What the target's term is multiplied by."""
        return 1.0


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

    def power(self, num_negatives: Tensor, num_items: int) -> Tensor | float:
        """See :class:`GBCE`."""
        return self.t * (num_negatives / (num_items - 1) - 1) + 1


class BPR(Loss):
    """``-log sigmoid(s+ - s-)``, averaged over the negatives (Rendle et al., UAI 2009).

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
    """

    candidates, num_negatives = "per_row", 1

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        positive, others, count = split(*step.logits(step.candidates))
        return {"loss": F.softplus(others - positive[:, None]).sum(1) / count.clamp_min(1)}


def split(logits: Tensor, column: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The target's logit ``[R]``, the others ``[R, C]`` with minus infinity in its place, and their number
    ``[R]``.
    """
    place = column[:, None]
    others = logits.scatter(1, place, float("-inf"))
    return logits.gather(1, place)[:, 0], others, others.isfinite().sum(1)
