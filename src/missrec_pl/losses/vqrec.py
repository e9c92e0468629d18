"""In-batch contrast with one more negative for each row that does not exist (Hou et al., VQ-Rec, WWW 2023)."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.losses.base import Loss
from missrec_pl.losses.step import Step
from missrec_pl.nn.items import Items
from missrec_pl.system.precision import widened


class _HasCodes(Protocol):
    def synthetic(self, items: Items, share: float) -> Items: ...


class SemiSynthetic(Loss):
    """Softmax over the candidates; in pre-training each row has one more, its target with some codes replaced.

    In a batch of several domains the other rows' targets are negatives of all of them ("mixed-domain negatives").

    Args:
        temperature: ``tau`` of the softmax over cosines.
        eval_temperature: see :class:`Loss`, as for ``mask_duplicates`` and ``padding_candidate``.
        fake_share: probability ``rho`` of each code to be replaced; 0 leaves these negatives out.
        duplicate_logit: see :class:`Loss`; None takes duplicates out.

    Raises:
        ConfigError: a probability outside 0..1.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        eval_temperature: float | None = None,
        *,
        fake_share: float = 0.75,
        mask_duplicates: bool = True,
        padding_candidate: bool = False,
        duplicate_logit: float | None = None,
    ) -> None:
        super().__init__(temperature, eval_temperature)
        if not 0 <= fake_share <= 1:
            raise ConfigError(f"objective.fake_share={fake_share}: must be a number from 0 to 1.")
        self.fake_share = fake_share
        self.mask_duplicates = mask_duplicates
        self.padding_candidate = padding_candidate
        if duplicate_logit is not None:
            self.duplicate_logit = duplicate_logit

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`.

        Raises:
            ConfigError: the network's items have no codes.
        """
        main = step.cross_entropy(step.candidates)
        if step.views is None or not self.fake_share:
            return {"loss": main}
        if not hasattr(step.network, "synthetic"):
            raise ConfigError(
                f"objective=vqrec: pre-trains networks of codes, and {type(step.network).__name__} has none; use "
                "model=vqrec, or objective=contrastive."
            )
        target = step.items.take(step.batch.target)
        fake = cast(_HasCodes, step.network).synthetic(target, self.fake_share)
        both = Items(
            torch.stack([target.vectors, widened(fake.vectors)], 1), torch.stack([target.ids, fake.ids], 1)
        )
        positive, negative = step.scores(step.users.state, step.rows, step.items, both).unbind(1)
        # -log p = log sum - positive: one more term in the sum.
        return {"loss": torch.logaddexp(main, negative - positive), "seq_item": main}
