"""The best items of each history, among all items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from missrec_pl.nn.contract import Histories
from missrec_pl.serving.answers import Ranked
from missrec_pl.serving.histories import Asked
from missrec_pl.serving.index import Nominator
from missrec_pl.serving.request import Request
from missrec_pl.serving.scoring import Scoring, best, histories_of
from missrec_pl.serving.shelf import Shelf

_Rows = Sequence[Sequence[int]]


class Ranking:
    """Ranks the histories of one request; those without a known item get what most chose.

    Args:
        scoring: scores.
        shelf: the catalogue.
        request: what is asked for.
        asked: its histories, looked up.
        nominator: nominates what is scored; None: every item is.
    """

    def __init__(
        self, scoring: Scoring, shelf: Shelf, request: Request, asked: Asked, nominator: Nominator | None = None
    ) -> None:
        self.nominator = nominator if request.allowed is None else None  # few items, of whom few are nominated
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
            for number, one in zip(self.filled, self._of(histories, self.rows), strict=True):
                found[number] = one
        for number, row in enumerate(self.asked.rows):
            if not row:
                found[number] = self.shelf.most_frequent(self.offered, self.request.k)
        return found

    def _of(self, histories: Histories, rows: _Rows) -> Iterator[Ranked]:
        """The ranked items of histories that hold some, in order."""
        if self.nominator is None:
            return self._among_all(histories, rows)
        return self._among_nominees(self.nominator, histories, rows)

    def _among_all(self, histories: Histories, rows: _Rows) -> Iterator[Ranked]:
        shelf = self.shelf
        for block, scores in self.scoring.blocks(histories, shelf.items, shelf.candidates):
            self._leave_out(scores, rows[block])
            yield from self._best(histories.cut(block), *best(scores, self.request.k))

    def _among_nominees(self, nominator: Nominator, histories: Histories, rows: _Rows) -> Iterator[Ranked]:
        """Filters may leave fewer nominees than are asked for: then all items are scored."""
        items, enough = self.shelf.items, min(self.request.k, int(self.offered.sum()))

        def nominate(block: slice, some: Histories, state: Tensor) -> Tensor:
            return nominator.nominees(some, items, state, rows[block])

        for block, chosen, scores in self.scoring.nominated(histories, items, nominate):
            self._leave_out_nominees(scores, chosen, rows[block])
            values, places = best(scores, self.request.k)
            some = histories.cut(block)
            for place, one in enumerate(self._best(some, values, chosen.gather(1, places) - 1)):
                if len(one.items) < enough:
                    where = slice(place, place + 1)
                    (one,) = self._among_all(some.cut(where), rows[block][where])
                yield one

    def _best(self, histories: Histories, values: Tensor, columns: Tensor) -> Iterator[Ranked]:
        found = [self.shelf.ranked(*row) for row in zip(values, columns, strict=True)]
        yield from self._with_parts(found, histories, columns) if self.request.with_parts else found

    def _with_parts(self, found: Sequence[Ranked], histories: Histories, columns: Tensor) -> Iterator[Ranked]:
        parts = self.scoring.parts(histories, self.shelf.items, columns + 1)
        for row, one in enumerate(found):
            told = {name: part[row, : len(one.items)].tolist() for name, part in parts.items()}
            each = [dict(zip(told, values, strict=True)) for values in zip(*told.values(), strict=True)]
            yield replace(one, parts=each)

    def _leave_out(self, scores: Tensor, rows: _Rows) -> None:
        """Minus infinity for what is not offered, of another domain than the newest item's, or seen already."""
        scores.masked_fill_(~self.offered, float("-inf"))
        if self.shelf.names.is_of_several_domains:
            last = torch.tensor([row[-1] - 1 for row in rows], device=scores.device)
            owner = self.shelf.owner
            scores.masked_fill_(owner != owner[last][:, None], float("-inf"))
        if self.request.exclude_seen:
            seen = [(place, item - 1) for place, row in enumerate(rows) for item in row]
            scores[tuple(torch.tensor(seen, device=scores.device).T)] = float("-inf")

    def _leave_out_nominees(self, scores: Tensor, chosen: Tensor, rows: _Rows) -> None:
        """The same of each history's nominees ``[b, P]``."""
        columns = (chosen - 1).clamp_min(0)
        scores.masked_fill_(~self.offered[columns], float("-inf"))
        if self.shelf.names.is_of_several_domains:
            last = torch.tensor([row[-1] - 1 for row in rows], device=scores.device)
            owner = self.shelf.owner
            scores.masked_fill_(owner[columns] != owner[last][:, None], float("-inf"))
        if self.request.exclude_seen:
            for score, mine, row in zip(scores, chosen, rows, strict=True):
                score.masked_fill_(torch.isin(mine, torch.tensor(row, device=mine.device)), float("-inf"))
