"""The constants of a baseline, chosen on the validation split for each of the two protocols."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from missrec_pl.baselines.base import Baseline, Settings, TunableBaseline
from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.scores import Ranks, as_scores

CUTOFF = 10
"""Constants are chosen by NDCG at this cut-off."""

_BLOCK_ROWS = 1024
# A block never holds more dense scores than this (16 MiB of float32).
_BLOCK_SCORES = 2**22


@dataclass(frozen=True)
class Choice:
    """The constants of one baseline.

    Attributes:
        included: Best where the history's items are candidates.
        excluded: Best where they are not.
    """

    included: Settings
    excluded: Settings

    def by_protocol(self) -> dict[str, Settings]:
        """As results.json shows them."""
        return {"history_included": self.included, "history_excluded": self.excluded}


def choose(
    baseline: TunableBaseline, validation: HeldOut | None, num_items: int, chosen: Mapping[str, Choice]
) -> Choice:
    """Try a fitted baseline's grid on validation users.

    Args:
        baseline: The baseline.
        validation: The users; None or nobody leaves the constants to fall back on.
        num_items: N.
        chosen: The choices of the baseline's parts, by name.

    Returns:
        The first of the best settings by validation NDCG@10, for each protocol.
    """
    grid = _distinct(baseline.grid({name: (choice.included, choice.excluded) for name, choice in chosen.items()}))
    if validation is None or len(validation) == 0 or len(grid) == 1:
        return Choice(grid[0], grid[0])
    gains = np.zeros((len(grid), 2))
    for histories, columns in blocks(validation, num_items, baseline):
        for row, settings in zip(gains, grid, strict=True):
            ranks = rank(baseline, histories, columns, settings)
            row += [_gain(ranks.included), _gain(ranks.excluded)]
    included, excluded = gains.argmax(0)
    return Choice(grid[included], grid[excluded])


def rank(
    baseline: Baseline, histories: Histories, columns: Int[np.ndarray, " B"], settings: Settings | None
) -> Ranks:
    """The targets' ranks in the scores of a fitted baseline; settings None for one without constants."""
    if settings is None:
        return as_scores(baseline.scores(histories)).ranks(histories, columns)
    assert isinstance(baseline, TunableBaseline)
    return as_scores(baseline.scores_with(histories, settings)).ranks(histories, columns)


def blocks(
    held_out: HeldOut, num_items: int, *baselines: Baseline, most_rows: int = _BLOCK_ROWS
) -> Iterator[tuple[Histories, Int[np.ndarray, " B"]]]:
    """Histories and target columns in blocks that suit the baselines."""
    if not all(getattr(baseline, "is_sparse", False) for baseline in baselines):
        most_rows = max(1, min(most_rows, _BLOCK_SCORES // num_items))
    for start in range(0, len(held_out), most_rows):
        yield held_out.block(start, start + most_rows, num_items)


def _distinct(grid: Sequence[Settings]) -> list[Settings]:
    return [settings for number, settings in enumerate(grid) if settings not in grid[:number]]


def _gain(ranks: Float[np.ndarray, " B"]) -> float:
    return float(np.where(ranks <= CUTOFF, 1 / np.log2(1 + ranks), 0).sum())
