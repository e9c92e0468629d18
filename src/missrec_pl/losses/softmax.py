"""Softmax cross-entropy among the candidates."""

from __future__ import annotations

from torch import Tensor

from missrec_pl.losses.base import Loss, Step


class Softmax(Loss):
    """``-log softmax(logits)`` of the target; over all items unless ``data.candidates`` says otherwise.

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
    """

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        return {"loss": -step.log_prob(step.candidates)}
