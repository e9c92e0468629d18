"""The best items of each history, among all items."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from missrec_pl.nn.contract import Histories
from missrec_pl.serving.answers import RankedRows
from missrec_pl.serving.histories import Asked
from missrec_pl.serving.index import Nominator
from missrec_pl.serving.lines import Lines
from missrec_pl.serving.request import Request
from missrec_pl.serving.scoring import Scoring, best, histories_of
from missrec_pl.serving.shelf import Shelf

_Found = Iterator[tuple[slice, Tensor, Tensor]]
"""Rows, the scores of their best items ``[b, k]``, and these items."""
_NOTHING = float("-inf")


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
        self.num_offered = int(self.offered.sum())

    def ranked(self) -> RankedRows:
        """Of each history."""
        asked, k = self.asked, min(self.request.k, len(self.offered))
        found, filled = RankedRows.empty(len(asked.rows), k), np.flatnonzero(asked.rows.sizes)
        if len(filled):
            clock = None if asked.times is None else [asked.times[number] for number in filled]
            lines, device = asked.rows.filled(), self.offered.device
            histories = histories_of(lines, self.scoring.max_history, device, clock)
            of = self._among_all if self.nominator is None else self._among_nominees
            for block, values, items in of(histories, lines):
                parts = self._parts(histories.cut(block), items) if self.request.with_parts else {}
                found.put(filled[block], values, items.masked_fill(values == _NOTHING, 0), parts)
        if len(filled) < len(asked.rows):
            most = self.shelf.most_frequent(self.offered, k)
            found.items[asked.rows.sizes == 0] = most.numpy(force=True)
        return found

    def _among_all(self, histories: Histories, lines: Lines) -> _Found:
        shelf = self.shelf
        for block, scores in self.scoring.blocks(histories, shelf.items, shelf.candidates):
            self._leave_out(scores, lines.cut(block))
            values, columns = best(scores, self.request.k)
            yield block, values, columns + 1

    def _among_nominees(self, histories: Histories, lines: Lines) -> _Found:
        """Filters may leave fewer nominees than are asked for: then all items are scored."""
        nominator, items, enough = self.nominator, self.shelf.items, min(self.request.k, self.num_offered)
        assert nominator is not None, "asked for"

        def nominate(block: slice, some: Histories, state: Tensor) -> Tensor:
            return nominator.nominees(some, items, state, lines.cut(block))

        for block, chosen, scores in self.scoring.nominated(histories, items, nominate):
            self._leave_out_nominees(scores, chosen, lines.cut(block))
            values, places = best(scores, self.request.k)
            yield block, values, chosen.gather(1, places)
            few = (values > _NOTHING).sum(1) < enough
            for row in (block.start + few.nonzero()[:, 0]).tolist():
                where = slice(row, row + 1)
                for _, more, their_items in self._among_all(histories.cut(where), lines.cut(where)):
                    yield where, more, their_items

    def _parts(self, histories: Histories, items: Tensor) -> dict[str, np.ndarray]:
        parts = self.scoring.parts(histories, self.shelf.items, items.clamp_min(1))
        return {name: part.numpy(force=True) for name, part in parts.items()}

    def _leave_out(self, scores: Tensor, lines: Lines) -> None:
        """Minus infinity for what is not offered, of another domain than the newest item's, or seen already."""
        if self.num_offered < len(self.offered):
            scores.masked_fill_(~self.offered, _NOTHING)
        if self.shelf.names.is_of_several_domains:
            last = torch.from_numpy(lines.last - 1).to(scores.device)
            owner = self.shelf.owner
            scores.masked_fill_(owner != owner[last][:, None], _NOTHING)
        if self.request.exclude_seen:
            seen = (torch.from_numpy(part).to(scores.device) for part in (lines.owner, lines.values - 1))
            scores[tuple(seen)] = _NOTHING

    def _leave_out_nominees(self, scores: Tensor, chosen: Tensor, lines: Lines) -> None:
        """The same of each history's nominees ``[b, P]``."""
        columns = (chosen - 1).clamp_min(0)
        scores.masked_fill_(~self.offered[columns], _NOTHING)
        if self.shelf.names.is_of_several_domains:
            last = torch.from_numpy(lines.last - 1).to(scores.device)
            owner = self.shelf.owner
            scores.masked_fill_(owner[columns] != owner[last][:, None], _NOTHING)
        if self.request.exclude_seen:
            for score, mine, line in zip(scores, chosen, lines, strict=True):
                score.masked_fill_(torch.isin(mine, torch.from_numpy(line).to(mine.device)), _NOTHING)
