"""The best items of each history, among all items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from missrec_pl.nn.contract import Histories
from missrec_pl.serving.answers import Ranked
from missrec_pl.serving.histories import Asked
from missrec_pl.serving.request import Request
from missrec_pl.serving.scoring import Scoring, best, histories_of
from missrec_pl.serving.shelf import Shelf


class Ranking:
    """Ranks the histories of one request; those without a known item get what most chose.

    Args:
        scoring: scores.
        shelf: the catalogue.
        request: what is asked for.
        asked: its histories, looked up.
    """

    def __init__(self, scoring: Scoring, shelf: Shelf, request: Request, asked: Asked) -> None:
        self.scoring, self.shelf, self.request, self.asked = scoring, shelf, request, asked
        self.offered = shelf.offered(request)
        self.filled = [number for number, row in enumerate(asked.rows) if row]
        self.rows = [asked.rows[number] for number in self.filled]

    def ranked(self) -> list[Ranked]:
        """Of each history."""
        found: list[Ranked] = [Ranked([], [])] * len(self.asked.rows)
        if self.filled:
            clock = None if self.asked.times is None else [self.asked.times[number] for number in self.filled]
            device = self.offered.device
            histories = histories_of(self.rows, self.scoring.max_history, device, clock)
            for number, one in zip(self.filled, self._of(histories), strict=True):
                found[number] = one
        for number, row in enumerate(self.asked.rows):
            if not row:
                found[number] = self.shelf.most_frequent(self.offered, self.request.k)
        return found

    def _of(self, histories: Histories) -> Iterator[Ranked]:
        """The ranked items of histories that hold some, in order."""
        shelf, k = self.shelf, self.request.k
        for block, scores in self.scoring.blocks(histories, shelf.items, shelf.candidates):
            self._leave_out(scores, self.rows[block])
            values, columns = best(scores, k)
            yield from (shelf.ranked(*row) for row in zip(values, columns, strict=True))

    def _leave_out(self, scores: Tensor, rows: Sequence[Sequence[int]]) -> None:
        """Minus infinity for what is not offered, of another domain than the newest item's, or seen already."""
        scores.masked_fill_(~self.offered, float("-inf"))
        if self.shelf.names.is_of_several_domains:
            last = torch.tensor([row[-1] - 1 for row in rows], device=scores.device)
            owner = self.shelf.owner
            scores.masked_fill_(owner != owner[last][:, None], float("-inf"))
        if self.request.exclude_seen:
            seen = [(place, item - 1) for place, row in enumerate(rows) for item in row]
            scores[tuple(torch.tensor(seen, device=scores.device).T)] = float("-inf")
