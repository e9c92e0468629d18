"""Score terms: what is added to the logits beside the network's own score."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class HistoryBias(nn.Module):
    """Two learned scalars for candidates that the user has already met.

    Cosine scores put the items of the history on the first ranks although targets hardly ever repeat. One
    scalar is added to the logits of every item of the history, a second one to those of its last item.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Parameter(torch.zeros(()))
        self.last = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        logits: Float[Tensor, "B C"],
        history_ids: Int[Tensor, "B L"],
        length: Int[Tensor, " B"],
        candidate_ids: Int[Tensor, " C"],
    ) -> Float[Tensor, "B C"]:
        """Add the biases.

        Args:
            logits: scores of the candidates.
            history_ids: global item ids of the history, right-padded with 0.
            length: number of items of each history.
            candidate_ids: global item ids of the candidates; repeats allowed, 0 not among them.
        """
        position = torch.arange(history_ids.shape[1], device=history_ids.device)
        is_last = position == (length - 1)[:, None]
        values = self.seen * _is_first_occurrence(history_ids) + self.last * is_last
        distinct, inverse = candidate_ids.unique(return_inverse=True)
        slot = torch.searchsorted(distinct, history_ids).clamp_(max=len(distinct) - 1)
        values = values * (distinct[slot] == history_ids)
        bias = logits.new_zeros(len(logits), len(distinct))
        bias = bias.scatter_add(1, slot, values.to(bias.dtype))
        is_catalogue = len(distinct) == len(candidate_ids) and bool((distinct == candidate_ids).all())
        return logits + (bias if is_catalogue else bias[:, inverse])


def _is_first_occurrence(ids: Int[Tensor, "B L"]) -> Tensor:
    """True where a non-padding id has not occurred earlier in its row."""
    same = ids[:, :, None] == ids[:, None, :]
    is_repeat = same.tril(diagonal=-1).any(-1)
    return ~is_repeat & (ids != 0)
