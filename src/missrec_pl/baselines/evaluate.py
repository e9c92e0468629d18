"""Full ranking of baselines on the split that the model is evaluated on, under both protocols."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int

from missrec_pl.baselines.base import (
    Baseline,
    BaselineData,
    Chosen,
    LearningBaseline,
    LeftOutError,
    Settings,
    TunableBaseline,
)
from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.registry import Context, Options, available, check_names
from missrec_pl.baselines.scores import Ranks, as_scores
from missrec_pl.metrics import RankingMetrics

Choice: TypeAlias = tuple[Settings, Settings]
"""The best constants of one baseline where the history's items are candidates, and where they are not."""
CUTOFF = 10
"""Constants are chosen by NDCG at this cut-off."""
_BLOCK_ROWS = 1024
_BLOCK_SCORES = 2**22  # most dense scores of a block: 16 MiB of float32
VALIDATION_USERS = 4000
"""Constants are chosen on at most so many validation users, a fixed random sample of them."""

# One thread for small catalogues, and on two cores: half of the work cannot be shared, and beside a busy program
# two threads that wait for each other took five times as long as one.
_ITEMS_OF_ONE_THREAD = 10_000
_FEW_THREADS = 2


@dataclass
class BaselineReport:
    """What a run shows of its baselines; all dictionaries by the baselines' names.

    Attributes:
        included: Metrics where the history's items are candidates: ``{"test/recall@10": 0.038, ...}``.
        excluded: Metrics where they are not, nor is a target that repeats one of them.
        settings: The constants behind each: ``{"history_included": {...}, "history_excluded": {...}}``.
        left_out: Why a baseline is not among them.
        seconds: Wall-clock time to fit, to choose the constants and to rank.
        ranks: ``[B]`` ranks under both protocols, in the order of the test histories, if they were asked for.
    """

    included: dict[str, dict[str, float]] = field(default_factory=dict)
    excluded: dict[str, dict[str, float]] = field(default_factory=dict)
    settings: dict[str, dict[str, Settings]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    ranks: dict[str, Ranks] = field(default_factory=dict)

    def metrics(self, *, history_excluded: bool) -> dict[str, dict[str, float]]:
        """The metrics under one protocol."""
        return self.excluded if history_excluded else self.included


def evaluate_baselines(
    data: BaselineData,
    test: HeldOut,
    *,
    validation: HeldOut | None = None,
    refit: BaselineData | None = None,
    names: Sequence[str] | None = None,
    ks: Sequence[int] = (10, 50),
    compat: bool = False,
    prefix: str = "test",
    most_rows: int = 1024,
    validation_users: int = VALIDATION_USERS,
    options: Options | None = None,
    keep_ranks: bool = False,
) -> BaselineReport:
    """Fit each baseline on the training parts, choose its constants, and rank all items for every test history.

    Args:
        data: What the baselines learn from.
        test: Histories and targets to report on.
        validation: Histories and targets to choose the constants on; None keeps the default ones.
        refit: What they are fitted to once their constants are chosen, where it is more than ``data``.
        names: Registered names, the order of the report; None = all that there are for the domain.
        ks: Cut-offs of `RankingMetrics`.
        compat: The released evaluator's cut-offs and rounding, as in `RankingMetrics`.
        prefix: Put before the metric names, ``test/recall@10``.
        most_rows: Histories scored at once; fewer where dense scores would be too many.
        validation_users: Choose on at most so many.
        options: What the user set.
        keep_ranks: Keep the rank of every target: 8 bytes for each baseline and test history.

    Raises:
        ConfigError: An unknown baseline, or one whose modality the domain lacks.
        DataError: No histories, histories and targets that do not fit, or items outside the catalogue.
    """
    test.check(data.num_items)
    names = available(data) if names is None else list(dict.fromkeys(names))
    check_names(names, data)
    if validation is not None and len(validation):
        validation.check(data.num_items)
        validation = validation.sample(validation_users)
    threads = torch.get_num_threads()
    is_single = data.num_items <= _ITEMS_OF_ONE_THREAD or threads <= _FEW_THREADS
    torch.set_num_threads(1 if is_single else threads)
    try:
        entries, left_out = _prepare_all(Context(data, options), names, validation, ks, compat)
        if refit is not None:
            for entry in entries:
                entry.baseline.fit(refit)
        _rank_all(entries, test, data.num_items, most_rows, keep_ranks=keep_ranks)
    finally:
        torch.set_num_threads(threads)
    return _report(entries, left_out, prefix)


def _prepare_all(
    context: Context, names: Sequence[str], validation: HeldOut | None, ks: Sequence[int], compat: bool
) -> tuple[list[_Entry], dict[str, str]]:
    """Fit and choose; whatever the domain is too large or too poor for is left out, with the reason."""
    entries: list[_Entry] = []
    choices: dict[str, Choice] = {}
    left_out: dict[str, str] = {}
    for name in names:
        started = time.perf_counter()
        baseline = context.get(name)
        try:
            _prepare(baseline, context.data, validation, choices)
        except LeftOutError as reason:
            left_out[name] = str(reason)
            continue
        included, excluded = (RankingMetrics(ks, compat=compat, sync_on_compute=False) for _ in range(2))
        seconds = time.perf_counter() - started
        entries.append(_Entry(baseline, choices.get(name, (None, None)), included, excluded, seconds))
    return entries, left_out


def _prepare(
    baseline: Baseline, data: BaselineData, validation: HeldOut | None, choices: dict[str, Choice]
) -> None:
    """Fit the baseline and choose its constants, those of its parts first."""
    if baseline.name in choices:
        return
    if isinstance(baseline, TunableBaseline):
        for part in baseline.parts:
            _prepare(part, data, validation, choices)
    baseline.fit(data)
    if isinstance(baseline, LearningBaseline):
        baseline.learn(validation)
    if isinstance(baseline, TunableBaseline):
        choices[baseline.name] = choose(baseline, validation, data.num_items, choices)


@dataclass
class _Entry:
    """A fitted baseline on its way through the test split."""

    baseline: Baseline
    settings: Choice | tuple[None, None]
    included: RankingMetrics
    excluded: RankingMetrics
    seconds: float
    blocks: list[Ranks] = field(default_factory=list)

    def update(self, histories: Histories, columns: Int[np.ndarray, " B"], *, keep_ranks: bool) -> None:
        started = time.perf_counter()
        of_included, of_excluded = self.settings
        included = excluded = rank(self.baseline, histories, columns, of_included)
        if of_excluded != of_included:
            excluded = rank(self.baseline, histories, columns, of_excluded)
        self.included.update(torch.from_numpy(included.included))
        self.excluded.update(torch.from_numpy(excluded.excluded))
        if keep_ranks:
            self.blocks.append(Ranks(included.included.astype(np.float32), excluded.excluded.astype(np.float32)))
        self.seconds += time.perf_counter() - started


def _report(entries: Sequence[_Entry], left_out: dict[str, str], prefix: str) -> BaselineReport:
    report = BaselineReport(left_out=left_out)
    for entry in entries:
        name = entry.baseline.name
        for found, metrics in ((report.included, entry.included), (report.excluded, entry.excluded)):
            found[name] = {f"{prefix}/{key}": float(value) for key, value in metrics.compute().items()}
        included, excluded = entry.settings
        if included is not None and excluded is not None:
            report.settings[name] = {"history_included": included, "history_excluded": excluded}
        report.seconds[name] = entry.seconds
        if entry.blocks:
            columns = zip(*((block.included, block.excluded) for block in entry.blocks), strict=True)
            report.ranks[name] = Ranks(*(np.concatenate(column) for column in columns))
    return report


def _rank_all(
    entries: Sequence[_Entry], test: HeldOut, num_items: int, most_rows: int, *, keep_ranks: bool
) -> None:
    for is_sparse in (False, True):
        group = [entry for entry in entries if getattr(entry.baseline, "is_sparse", False) is is_sparse]
        if group:
            baselines = [entry.baseline for entry in group]
            for histories, columns in blocks(test, num_items, *baselines, most_rows=most_rows):
                for entry in group:
                    entry.update(histories, columns, keep_ranks=keep_ranks)


def choose(baseline: TunableBaseline, validation: HeldOut | None, num_items: int, chosen: Chosen) -> Choice:
    """Choose the first of the best settings of a fitted baseline by validation NDCG@10, for each protocol.

    Args:
        baseline: The baseline.
        validation: The users; None or nobody leaves the default constants.
        num_items: N.
        chosen: The choices of the baseline's parts, by name.
    """
    given = baseline.grid(chosen)
    grid = [settings for number, settings in enumerate(given) if settings not in given[:number]]  # distinct ones
    if validation is None or len(validation) == 0 or len(grid) == 1:
        return grid[0], grid[0]
    gains = np.zeros((len(grid), 2))
    for histories, columns in blocks(validation, num_items, baseline):
        for row, settings in zip(gains, grid, strict=True):
            ranks = rank(baseline, histories, columns, settings)
            row += [_gain(ranks.included), _gain(ranks.excluded)]
    included, excluded = gains.argmax(0)
    return grid[included], grid[excluded]


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


def _gain(ranks: Float[np.ndarray, " B"]) -> float:
    return float(np.where(ranks <= CUTOFF, 1 / np.log2(1 + ranks), 0).sum())
