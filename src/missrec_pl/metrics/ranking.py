"""Recall@K, NDCG@K, MRR and MRR@K from the rank of one target per user."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from missrec_pl.errors import ConfigError, DataError

# Gains are summed as integers in units of 2^-38: integer sums do not depend on their order, so any sharding
# gives the same bits. The price is an error below 2e-12 per user and a limit of 2^25 (33 million) users.
_GAIN_UNIT = 2**38
_MAX_USERS = 2**25


class RankingMetrics(Metric):
    """Mean Recall@K, NDCG@K, MRR and MRR@K over all users seen.

    With one target Recall@K is the hit rate, K times the precision, and MRR@K is MAP@K. Five sum states (all
    int64), nothing per user: shards of any size, in any order and on any number of processes give bit-identical
    results. NDCG's gain is ``1 / log2(1 + rank)``, its ideal is 1; a fractional rank (from ties) counts as a hit
    when ``rank <= K`` and is discounted as it stands. An infinite rank, of a target that is no candidate, is a
    miss everywhere.

    Args:
        ks: Cut-offs, distinct positive integers.
        compat: Reproduce the released evaluator: what it calls ``@10`` is in truth ``@11``, and its numbers
            are rounded to 4 decimals. False gives the true @K.
        **kwargs: Passed to `torchmetrics.Metric` (`sync_on_compute`, `dist_sync_on_step`, ...).

    Raises:
        ConfigError: `ks` is empty, repeats itself, or holds something other than positive integers.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    hits: Tensor
    gains: Tensor
    reciprocal_ranks: Tensor
    reciprocal_hits: Tensor
    num_users: Tensor

    def __init__(self, ks: Sequence[int] = (10, 50), *, compat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ks = tuple(ks)
        is_whole = all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in self.ks)
        if not self.ks or not is_whole or len(set(self.ks)) < len(self.ks):
            raise ConfigError(f"metric cut-offs must be distinct positive integers, got {list(ks)}")
        self.compat = compat
        self.add_state("hits", torch.zeros(len(self.ks), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("gains", torch.zeros(len(self.ks), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("reciprocal_hits", torch.zeros(len(self.ks), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("reciprocal_ranks", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("num_users", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, ranks: Float[Tensor, " B"]) -> None:
        """Add the ranks of a batch.

        Args:
            ranks: ``[B]`` values from 1 up, as `target_ranks` returns them; B may be 0.

        Raises:
            DataError: A rank is below 1 or NaN.
        """
        ranks = ranks.detach().double()
        is_valid = ranks >= 1
        if not is_valid.all():
            raise DataError(f"ranks must be at least 1, got {ranks[~is_valid][0].item()}")
        cutoffs = torch.tensor(self.ks, device=ranks.device) + int(self.compat)
        is_hit = ranks.unsqueeze(1) <= cutoffs  # [B, len(ks)]
        gains, reciprocals = _in_units(1 / torch.log2(1 + ranks)), _in_units(1 / ranks)
        self.hits += is_hit.sum(0)
        self.gains += (gains.unsqueeze(1) * is_hit).sum(0)
        self.reciprocal_hits += (reciprocals.unsqueeze(1) * is_hit).sum(0)
        self.reciprocal_ranks += reciprocals.sum()
        self.num_users += ranks.numel()

    def compute(self) -> dict[str, Tensor]:
        """Average over all users of all processes.

        Returns:
            ``{"recall@10", "ndcg@10", "recall@50", "ndcg@50", "mrr", "mrr@10", "mrr@50"}`` (for the default `ks`,
            in this order), each a 0-d float64 tensor in 0..1 on the metric's device, so that logging keeps every
            digit.

        Raises:
            DataError: No rank was added since the last reset, or more than 33 million.
        """
        num_users = int(self.num_users)
        if num_users == 0:
            raise DataError("no ranks to average: the evaluation split holds no users with a target")
        if num_users > _MAX_USERS:
            raise DataError(f"{num_users} users exceed the {_MAX_USERS} that the exact sums can hold")
        values: dict[str, float] = {}
        for k, hits, gains in zip(self.ks, self.hits.tolist(), self.gains.tolist(), strict=True):
            values[f"recall@{k}"] = hits / num_users
            values[f"ndcg@{k}"] = gains / (_GAIN_UNIT * num_users)
        values["mrr"] = int(self.reciprocal_ranks) / (_GAIN_UNIT * num_users)
        for k, total in zip(self.ks, self.reciprocal_hits.tolist(), strict=True):
            values[f"mrr@{k}"] = total / (_GAIN_UNIT * num_users)
        if self.compat:
            values = {name: round(value, 4) for name, value in values.items()}
        return {
            name: torch.tensor(value, dtype=torch.float64, device=self.num_users.device)
            for name, value in values.items()
        }


def _in_units(gains: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    return (gains * _GAIN_UNIT).round().long()
