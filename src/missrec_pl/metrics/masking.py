"""Taking the history out of the candidates (`mask_history`): off in the paper's protocol, on in others."""

from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.errors import DataError


def mask_history_(
    scores: Float[Tensor, "B N"], histories: Int[Tensor, "B L"], targets: Int[Tensor, " B"]
) -> Float[Tensor, "B N"]:
    """Set the scores of each row's history to ``-inf``, in place; the target is never masked.

    A target that repeats an item of the history keeps its score: masking it would make the row impossible
    to win, and dropping the row would change the set of users that is averaged over.

    Args:
        scores: ``[B, N]``, column ``i - 1`` for item ``i``; changed in place (so no expanded view).
        histories: ``[B, L]`` item ids ``1..N``, 0 = padding, in any order.
        targets: ``[B]`` column indices in ``0..N-1``, as for `target_ranks`.

    Returns:
        The same tensor.

    Raises:
        DataError: A history names an item outside ``0..N``.
    """
    num_items = scores.shape[1]
    if histories.numel() and (int(histories.min()) < 0 or int(histories.max()) > num_items):
        raise DataError(
            f"histories name items {int(histories.min())}..{int(histories.max())}, "
            f"expected 1..{num_items} (one per score column) or 0 (padding)"
        )
    target_columns = targets.long().unsqueeze(1)
    target_scores = scores.gather(1, target_columns)
    rows, positions = histories.nonzero(as_tuple=True)
    scores[rows, histories[rows, positions].long() - 1] = float("-inf")
    return scores.scatter_(1, target_columns, target_scores)
