"""What the user has already met."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.scorers.base import Scorer
from missrec_pl.nn.scorers.rows import ScoredRows


class SeenItems(Scorer):
    """Two learned scalars for candidates that the user has already met (seen-item bias).

    Cosine scores put the items of the history on the first ranks although targets hardly ever repeat. One
    scalar is added to the logits of every item of the history, a second one to those of its last item.

    Args:
        data: see :class:`Scorer`.
    """

    def __init__(self, data: DataShape) -> None:
        super().__init__(data)
        self.seen = nn.Parameter(torch.zeros(()))
        self.last = nn.Parameter(torch.zeros(()))

    def of_rows(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """See :meth:`Scorer.of_rows`."""
        values = self.seen * rows.is_first + self.last * (rows.age == 0)
        column, is_here = rows.met
        bias = values.new_zeros(len(values), rows.num_columns)
        return bias.scatter_add_(1, column, values * is_here)
