"""How often candidates were chosen, trusted by how much else is known of the row."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems
from missrec_pl.nn.scorers.base import ScoredRows, Scorer


class ItemCounts(Fitted):
    """``frequency [N + 1]``: training interactions of each item; no checkpoint carries them."""

    saved = False
    frequency: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequency", None, persistent=False)

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return self.frequency is None

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Count."""
        self.frequency = torch.from_numpy(context.item_counts().astype(np.float32))
        return {}

    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: nobody has chosen new items."""
        self.frequency = new.padded(self.frequency)


class Popularity(Scorer):
    """``(w + a log(1 + L) + b log(1 + n(last))) log(1 + n(i))`` with learned w, a and b, which start at 0.

    ``n`` counts training interactions, L is the length of the history and ``last`` its newest item. The longer the
    history and the more popular its newest item, the less popularity has to say.

    A training row finds itself among the counts: what its own user added to them is subtracted, as far as the row
    shows it (see :class:`Cooccurrence`). The history's own items have 0.

    Args:
        data: see :class:`Scorer`.
    """

    of_catalogue = True

    def __init__(self, data: DataShape) -> None:
        super().__init__(data)
        self.fitted["counts"] = ItemCounts()
        self.weight, self.by_length, self.by_last = (nn.Parameter(torch.zeros(())) for _ in range(3))

    def of_rows(self, rows: ScoredRows) -> Float[Tensor, "B K"]:
        """See :meth:`Scorer.of_rows`.

        Raises:
            RuntimeError: nothing was counted.
        """
        counts = self.fitted["counts"]
        assert isinstance(counts, ItemCounts)
        if counts.is_empty:
            raise RuntimeError("the popularity scorer has no counts: fit() them first")
        frequency, line = counts.frequency, rows.own_line
        same = (line[:, :, None] == line[:, None, :]) & (line != 0)[:, :, None]
        known = frequency[line]
        others = (known - same.sum(2)).clamp_min(0) if rows.future_ids is not None else known
        column, is_here = rows.find(line)
        is_counted = is_here & same.any(2) & ~same.tril(diagonal=-1).any(2)
        change = (others.log1p() - known.log1p()) * is_counted
        every = frequency[rows.columns].log1p().expand(len(line), -1).scatter_add(1, column, change)
        newest = others.gather(1, (rows.length - 1).clamp_min(0)[:, None])
        trust = self.weight + self.by_length * rows.length[:, None].log1p() + self.by_last * newest.log1p()
        return rows.unmet(trust * every)
