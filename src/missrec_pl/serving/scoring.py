"""Scores of all items for histories, as an evaluation of the training code computes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from missrec_pl.nn.contract import Histories, Items, Recommender, Users
from missrec_pl.nn.encoding import encode_users, with_masked_place
from missrec_pl.nn.scorers import Scorers
from missrec_pl.serving.lines import Lines
from missrec_pl.system.precision import exact_float32

_LOGITS = 1 << 22  # ranked at a time: 16 MB, which malloc keeps for the next block
_ENCODED = 2048  # histories encoded at a time
_BUCKETS = 8  # groups of similar length
_NOMINATED = 8  # histories whose nominees are scored together

Nominate = Callable[[slice, Histories, Tensor], Tensor]


@dataclass(frozen=True)
class Scoring:
    """A network with its scorers.

    Attributes:
        network: in evaluation mode.
        scorers: with their statistics.
        temperature: what the network's scores are divided by.
        max_history: the newest items that the network reads.
    """

    network: Recommender
    scorers: Scorers
    temperature: float
    max_history: int

    @property
    def needs_times(self) -> bool:
        """Whether the network reads when items were met."""
        return "timestamps" in self.network.reads

    def blocks(self, histories: Histories, items: Items, candidates: Items) -> Iterator[tuple[slice, Tensor]]:
        """Yields rows and their scores ``[b, C]``, never in less than float32, which may be changed in place.

        Args:
            histories: none empty.
            items: the encoded catalogue with the padding item.
            candidates: what is scored.
        """
        step = max(1, _LOGITS // max(1, len(candidates.ids)))
        device = items.vectors.device
        for first in range(0, len(histories), _ENCODED):
            some = histories.cut(slice(first, first + _ENCODED))
            with torch.no_grad(), exact_float32(device):
                state = self.states(some, items)
            for start in range(0, len(some), step):
                rows = slice(start, min(start + step, len(some)))
                with torch.no_grad(), exact_float32(device):
                    logits = self.network.score(Users(state[rows]), candidates) / self.temperature
                    logits = self.scorers.add(logits, some.cut(rows), items, candidates).float()
                yield slice(first + rows.start, first + rows.stop), logits

    def states(self, histories: Histories, items: Items, num_buckets: int = _BUCKETS) -> Tensor:
        """``[B, D]`` what the network makes of histories, in groups of similar length."""
        asked = with_masked_place(histories) if self.network.example == "cloze" else histories
        return encode_users(self.network, asked, items, num_buckets=num_buckets).state

    def parts(self, histories: Histories, items: Items, rows: Tensor) -> dict[str, Tensor]:
        """What scores of each history's own candidates are the sums of, ``[B, K]`` each, by name.

        Args:
            histories: none empty.
            items: the encoded catalogue with the padding item.
            rows: ``[B, K]`` rows of the candidates in ``items``.
        """
        with torch.no_grad(), exact_float32(items.vectors.device):
            return self._parts(histories, items, rows, self.states(histories, items))

    def _parts(self, histories: Histories, items: Items, rows: Tensor, state: Tensor) -> dict[str, Tensor]:
        chosen = items.take(rows)
        found = {"network": self.network.score(Users(state), chosen) / self.temperature}
        return found | {name: scorer(histories, items, chosen) for name, scorer in self.scorers.items()}

    def nominated(
        self, histories: Histories, items: Items, nominate: Nominate
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """Yields rows, nominees ``[b, P]`` (0 behind them) and their scores, which may be changed in place.

        Args:
            histories: none empty.
            items: the encoded catalogue with the padding item.
            nominate: gives the nominees of a block of histories whose states are known.
        """
        for first in range(0, len(histories), _NOMINATED):
            block = slice(first, min(first + _NOMINATED, len(histories)))
            some = histories.cut(block)
            with torch.no_grad(), exact_float32(items.vectors.device):
                state = self.states(some, items)
                chosen = nominate(block, some, state)
                total: Tensor = sum(self._parts(some, items, chosen, state).values())  # type: ignore[assignment]
                yield block, chosen, total.float().masked_fill(chosen == 0, float("-inf"))


def histories_of(
    rows: Lines | Sequence[Sequence[int]],
    max_history: int,
    device: torch.device,
    times: Sequence[Sequence[int]] | None = None,
) -> Histories:
    """The newest items of each history as the network reads them.

    Args:
        rows: items ``1..N``, newest last, at least one each.
        max_history: how many are read.
        device: where the network is.
        times: seconds of each item, and of the request behind them.
    """
    lines = rows if isinstance(rows, Lines) else Lines.of(rows)
    padded, length = (torch.from_numpy(part).to(device) for part in lines.newest(max_history))
    clock = None if times is None else torch.from_numpy(Lines.of(times).newest(max_history + 1)[0]).to(device)
    return Histories(padded, length, times=clock)


def best(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest scores of each row and their columns; of equal ones the first columns come first."""
    found = scores.topk(min(k, scores.shape[1]), dim=1)
    by_column = found.indices.argsort(dim=1)
    values, columns = found.values.gather(1, by_column), found.indices.gather(1, by_column)
    order = values.argsort(dim=1, descending=True, stable=True)
    return values.gather(1, order), columns.gather(1, order)
