"""The rank of each row's target among all candidates, without sorting them, with or without the history."""

from typing import TypedDict

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from missrec_pl.errors import DataError

# Comparisons work on blocks of this many scores: temporaries stay within the cache whatever B and N are.
_BLOCK_ELEMENTS = 2**19


class Ranking(TypedDict):
    """What a test step has found.

    Attributes:
        ranks: ``[B, 2]`` of the targets, under the run's protocol and where the history is no candidate.
        lists: ``[B, K]`` the best items of each row under the run's protocol, best first; 0 where there are fewer.
    """

    ranks: Tensor
    lists: Tensor


def target_ranks(scores: Float[Tensor, "B N"], targets: Int[Tensor, " B"]) -> Float32[Tensor, " B"]:
    """Rank the target of every row: ``1 + #greater + #equal_others / 2``.

    Ties count as half a place each, the mean over random tie-breaking. A model that scores everything alike has
    every target in the middle, at ``(N + 1) / 2``: behind the first K where there are 2K candidates or more, but
    among the first K where there are fewer. A score of ``-inf`` takes a candidate out: it never precedes a finite
    target.

    Args:
        scores: ``[B, N]``, higher is better, of any float dtype; ``-inf`` allowed, NaN refused.
        targets: ``[B]`` column indices in ``0..N-1`` (a column index, not an item id).

    Returns:
        ``[B]`` float32 ranks in ``1..N``, multiples of one half (exact up to 8 million columns).

    Raises:
        DataError: The shapes disagree, a target lies outside the columns, or a score is NaN.
    """
    _check(scores, targets)
    target_scores = scores.gather(1, targets.long().unsqueeze(1))
    if scores.shape[0] == 0:
        return torch.empty(0, device=scores.device)
    block_rows = max(1, _BLOCK_ELEMENTS // max(scores.shape[1], 1))
    ranks, is_unsure = [], []
    for start in range(0, scores.shape[0], block_rows):
        ahead = scores[start : start + block_rows] - target_scores[start : start + block_rows]
        # NaN, or infinities of both signs: such rows are looked at again.
        is_unsure.append(ahead.sum(1, dtype=torch.float32).isnan())
        # #greater - #less; of the others so many are ahead as are not behind and not equal.
        balance = ahead.sign_().sum(1, dtype=torch.float32)
        ranks.append(1 + (scores.shape[1] - 1 + balance) / 2)
    found = torch.cat(ranks)
    if (rows := torch.cat(is_unsure).nonzero().flatten()).numel():
        _refuse_nan(scores, rows)
        num_greater = (scores[rows] > target_scores[rows]).sum(1)
        num_equal_others = (scores[rows] == target_scores[rows]).sum(1) - 1
        found[rows] = 1 + num_greater.float() + num_equal_others.float() / 2
    return found


def _refuse_nan(scores: Float[Tensor, "B N"], rows: Int[Tensor, " R"]) -> None:
    if (nan_rows := rows[scores[rows].isnan().any(1)]).numel():
        raise DataError(
            f"scores contain NaN in {nan_rows.numel()} of {scores.shape[0]} rows, the first in row "
            f"{int(nan_rows[0])}: check the features and the model's weights for non-finite values"
        )


def _check(scores: Tensor, targets: Tensor) -> None:
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise DataError(
            f"scores must be [B, N] and targets [B], got {tuple(scores.shape)} and {tuple(targets.shape)}"
        )
    is_outside = (targets < 0) | (targets >= scores.shape[1])
    if is_outside.any():
        row = int(is_outside.nonzero()[0])
        raise DataError(
            f"target {int(targets[row])} of row {row} is outside the {scores.shape[1]} score columns "
            f"(0..{scores.shape[1] - 1}); targets are column indices, item i is usually column i - 1"
        )


def ranks_without_history_(
    scores: Float[Tensor, "B N"], histories: Int[Tensor, "B L"], targets: Int[Tensor, " B"]
) -> Float32[Tensor, " B"]:
    """Rank the target of every row among the items outside of its history.

    A target that repeats an item of the history is no candidate either: its rank is infinite, a miss at every
    cut-off. To keep it as the only one of the history would give it away.

    Args:
        scores: ``[B, N]``, column ``i - 1`` for item ``i``; the history's become ``-inf`` in place (so no
            expanded view).
        histories: ``[B, L]`` item ids ``1..N``, 0 = padding, in any order.
        targets: ``[B]`` column indices in ``0..N-1``, as for `target_ranks`.

    Returns:
        ``[B]`` float32 ranks from 1 up, infinite for a repeated target.

    Raises:
        DataError: A history names an item outside ``0..N``; what `target_ranks` raises.
    """
    num_items = scores.shape[1]
    if histories.numel() and (int(histories.min()) < 0 or int(histories.max()) > num_items):
        raise DataError(
            f"histories name items {int(histories.min())}..{int(histories.max())}, "
            f"expected 1..{num_items} (one per score column) or 0 (padding)"
        )
    rows, positions = histories.nonzero(as_tuple=True)
    scores[rows, histories[rows, positions].long() - 1] = float("-inf")
    is_repeat = (histories == targets.unsqueeze(1) + 1).any(1)
    return target_ranks(scores, targets).masked_fill(is_repeat, float("inf"))
