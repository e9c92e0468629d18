"""What the recommended lists are like, beside whether they hit: coverage, popularity, diversity, surprise."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric

from missrec_pl.errors import DataError

_UNIT = 2**38  # sums of integers do not depend on their order, as in `RankingMetrics`


class BeyondAccuracy(Metric):
    """Coverage, Gini index, novelty, popularity, diversity, serendipity, cold recall and repeats of top-K lists.

    All states are sums of integers: any sharding gives the same bits. For every K (names end with ``@K``):

    * ``coverage``: share of the catalogue that stands in at least one list.
    * ``gini``: Gini index of how often each item is recommended: 0 all alike, near 1 a few items alone.
    * ``novelty``: mean self-information ``-log2(p)`` of the recommended items in bits, where p is the share of
      training users who have the item; an item without users counts as if it had one (Zhou et al. 2010).
    * ``popularity``: mean number of training interactions of the recommended items.
    * ``popularity_lift``: that over the same mean of the items in the histories; above 1 the lists are more
      popular than what their users had (Abdollahpouri et al. 2019).
    * ``diversity``: mean over users of 1 - the mean cosine of the features within a list.
    * ``serendipity``: share of users whose target is in their list and not among the K most popular items
      (Ge et al. 2010, with one relevant item).
    * ``cold_recall``: Recall@K of the targets without training interactions; left out if there are none.
    * ``repeats``: share of the lists that stands in the user's history.

    Args:
        ks: Cut-offs.
        counts: ``[N + 1]`` training interactions of each item, row 0 = padding.
        user_counts: ``[N + 1]`` training users of each item.
        num_users: Training users.
        **kwargs: Passed to `torchmetrics.Metric`.
    """

    full_state_update = False

    counts: Tensor
    information: Tensor
    popularity_rank: Tensor
    lists: Tensor
    slots: Tensor
    repeats: Tensor
    serendipitous: Tensor
    cold_hits: Tensor
    dissimilarity: Tensor
    num_compared: Tensor
    num_cold: Tensor
    num_users: Tensor
    profile: Tensor
    num_profile: Tensor

    def __init__(
        self,
        ks: Sequence[int],
        counts: Int[Tensor, " _"],
        user_counts: Int[Tensor, " _"],
        num_users: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ks = tuple(ks)
        self.register_buffer("counts", counts.long(), persistent=False)
        shares = user_counts.clamp(min=1).double() / max(num_users, 1)
        self.register_buffer("information", -torch.log2(shares), persistent=False)
        place = torch.empty_like(self.counts)
        place[1 + torch.argsort(-self.counts[1:], stable=True)] = torch.arange(1, len(place))
        self.register_buffer("popularity_rank", place, persistent=False)
        per_cutoff = ("slots", "repeats", "serendipitous", "cold_hits", "dissimilarity", "num_compared")
        for name in per_cutoff:
            self.add_state(name, torch.zeros(len(self.ks), dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("num_cold", "num_users", "profile", "num_profile"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("lists", torch.zeros(len(self.ks), len(counts), dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        lists: Int[Tensor, "B K"],
        histories: Int[Tensor, "B L"],
        targets: Int[Tensor, " B"],
        similarity: Float[Tensor, "C B"],
    ) -> None:
        """Add the lists of a batch.

        Args:
            lists: ``[B, K]`` recommended items, best first, 0 where there are fewer; K is the largest cut-off.
            histories: ``[B, L]`` items of the histories, 0 = padding.
            targets: ``[B]`` items.
            similarity: for each cut-off ``[B]`` the mean cosine within the list; NaN where nothing is compared.
        """
        is_repeat = torch.stack([(lists == step[:, None]) for step in histories.unbind(1)]).any(0) & (lists > 0)
        is_hit = lists == targets[:, None]
        is_cold = self.counts[targets] == 0
        for row, k in enumerate(self.ks):
            top = lists[:, :k]
            self.lists[row] += torch.bincount(top.flatten(), minlength=len(self.counts))
            self.slots[row] += (top > 0).sum()
            self.repeats[row] += is_repeat[:, :k].sum()
            hit = is_hit[:, :k].any(1)
            self.serendipitous[row] += (hit & (self.popularity_rank[targets] > k)).sum()
            self.cold_hits[row] += (hit & is_cold).sum()
            known = ~similarity[row].isnan()
            self.num_compared[row] += known.sum()
            self.dissimilarity[row] += ((1 - similarity[row][known].double()) * _UNIT).round().long().sum()
        self.num_users += len(targets)
        self.num_cold += is_cold.sum()
        self.profile += self.counts[histories].sum()
        self.num_profile += (histories > 0).sum()

    def compute(self) -> dict[str, Tensor]:
        """``{"coverage@10": ..., "gini@10": ...}``, 0-d float64 tensors, by cut-off as given.

        Raises:
            DataError: No list was added since the last reset.
        """
        if int(self.num_users) == 0:
            raise DataError("no lists to describe: the evaluation split holds no users with a target")
        values: dict[str, Tensor] = {}
        for row, k in enumerate(self.ks):
            times, slots = self.lists[row, 1:], self.slots[row].double()
            popularity = (times * self.counts[1:]).sum() / slots
            found = {
                "coverage": (times > 0).double().mean(),
                "gini": _gini(times),
                "novelty": (times * self.information[1:]).sum() / slots,
                "popularity": popularity,
                "popularity_lift": popularity / (self.profile.double() / self.num_profile),
                "diversity": self.dissimilarity[row].double() / _UNIT / self.num_compared[row],
                "serendipity": self.serendipitous[row].double() / self.num_users,
                "cold_recall": self.cold_hits[row].double() / self.num_cold,
                "repeats": self.repeats[row] / slots,
            }
            values |= {f"{name}@{k}": value for name, value in found.items() if value.isfinite()}
        return values


def _gini(times: Int[Tensor, " N"]) -> Tensor:
    """The Gini index of non-negative numbers: 0 where all are alike, ``1 - 1 / N`` where one has everything."""
    ordered = times.sort().values.double()
    n = len(ordered)
    weights = 2 * torch.arange(1, n + 1, device=times.device, dtype=torch.float64) - n - 1
    return (weights * ordered).sum() / (n * ordered.sum())
