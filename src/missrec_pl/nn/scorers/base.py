"""Auxiliary scorers: what is added to the logits beside the network's own score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from missrec_pl.nn.contract import DataShape, Histories, Items
from missrec_pl.nn.fitted import Fitted
from missrec_pl.nn.scorers.rows import ScoredRows


class Scorer(nn.Module):
    """Scores candidates by what simple methods know; open to every network.

    A leaf implements :meth:`of_rows`, or :meth:`forward` if it reads something else.

    Attributes:
        of_catalogue: whether its fitted statistics belong to one catalogue: pre-training leaves it out.
        by_modality: see :class:`Recommender`.
        fitted: parts that are fitted to the training data.

    Args:
        data: sizes of the data.
    """

    of_catalogue: ClassVar[bool] = False
    by_modality: ClassVar[tuple[str, ...]] = ()
    fitted: nn.ModuleDict

    def __init__(self, data: DataShape) -> None:
        super().__init__()
        self.fitted = nn.ModuleDict()

    def forward(self, history: Histories, items: Items, candidates: Items) -> Tensor:
        """What is added to the logits.

        Args:
            history: a row a target: what stands before it.
            items: what the history refers to.
            candidates: shared ones ``[C]`` or each row's own ``[R, K]``.

        Returns:
            ``[R, C]`` or ``[R, K]``.
        """
        rows = ScoredRows.of(history, items, candidates)
        return rows.of_candidates(self.of_rows(rows))

    def of_rows(self, rows: ScoredRows) -> Tensor:
        """``[R, D]`` of the distinct candidates, in rising order of their ids."""
        raise NotImplementedError


class SeenItems(Scorer):
    """Two learned scalars for candidates that the user has already met (seen-item bias).

    Cosine scores put the items of the history on the first ranks although targets hardly ever repeat. One
    scalar is added to the logits of every item of the history, a second one to those of its last item.
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


class Scorers(nn.ModuleDict):
    """The auxiliary scorers of a run, by name.

    Args:
        scorers: the scorers; their order is that of the sum.
    """

    def __init__(self, scorers: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__(dict(scorers or {}))

    def add(self, logits: Tensor, history: Histories, items: Items, candidates: Items) -> Tensor:
        """The logits with all scorers added; those that read rows share what they look up."""
        if not len(self):
            return logits
        sharing = [one for one in self.values() if isinstance(one, Scorer) and type(one).forward is Scorer.forward]
        if sharing:
            rows = ScoredRows.of(history, items, candidates)
            total: Tensor = sum(one.of_rows(rows) for one in sharing)  # type: ignore[assignment]
            logits = logits + rows.of_candidates(total)
        for one in self.values():
            if one not in sharing:
                logits = logits + one(history, items, candidates)
        return logits

    def fitted_parts(self) -> list[Fitted]:
        """The fitted parts of all scorers."""
        return [
            part
            for one in self.values()
            for part in one.fitted.values()  # type: ignore[operator]
            if isinstance(part, Fitted)
        ]
