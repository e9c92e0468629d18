"""Losses that set the target against the highest of many negatives, softly: BPR-max and TOP1-max."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.errors import ConfigError
from missrec_pl.losses.pairwise import Pairwise


class RankingMax(Pairwise):
    """Base of the ranking-max losses (Hidasi and Karatzoglou, CIKM 2018, section 3.3).

    A pairwise loss is taken at each negative with the weight ``s_j``, the softmax of the negatives' scores alone:
    the highest negatives count, however many others there are. As in the paper negatives are the other targets of
    the batch and further random items, the same for all rows. The paper's activation of the scores is left out.
    """

    candidates = "sampled"
    num_negatives = 2048

    def compare(self, positive: Tensor, others: Tensor, count: Tensor, num_items: int) -> Tensor:
        """See :meth:`Pairwise.compare`; 0 where a row has no negative."""
        is_there = others.isfinite()
        # Finite everywhere, lest gradients become NaN: what is not there has no weight.
        log_weight = others.masked_fill(~is_there, torch.finfo(others.dtype).min).log_softmax(1)
        found = self.weighted(log_weight, positive[:, None], others.masked_fill(~is_there, 0.0))
        return torch.where(count > 0, found, 0.0)

    @abstractmethod
    def weighted(self, log_weight: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """``[R]`` losses.

        Args:
            log_weight: ``[R, C]`` ``log s_j``; very low where there is no negative.
            positive: ``[R, 1]`` the target's score ``r_i``.
            negative: ``[R, C]`` the negatives' ``r_j``.
        """


class BPRMax(RankingMax):
    """``-log sum_j s_j sigmoid(r_i - r_j) + lambda sum_j s_j r_j^2`` (section 3.3, with score regularisation).

    Args:
        regularization: ``lambda``; 0 is plain BPR-max.
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.

    Raises:
        ConfigError: a negative ``regularization``.
    """

    def __init__(
        self, regularization: float = 1.0, temperature: float = 1.0, eval_temperature: float | None = None
    ) -> None:
        super().__init__(temperature, eval_temperature)
        if not regularization >= 0:
            raise ConfigError(f"objective.regularization={regularization}: must be a number from 0.")
        self.regularization = regularization

    def weighted(self, log_weight: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """See :meth:`RankingMax.weighted`."""
        main = -(log_weight + F.logsigmoid(positive - negative)).logsumexp(1)
        return main + self.regularization * (log_weight.exp() * negative.square()).sum(1)


class TOP1Max(RankingMax):
    """``sum_j s_j (sigmoid(r_j - r_i) + sigmoid(r_j^2))`` (section 3.3), which regularises scores by itself."""

    def weighted(self, log_weight: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """See :meth:`RankingMax.weighted`."""
        return (log_weight.exp() * ((negative - positive).sigmoid() + negative.square().sigmoid())).sum(1)
