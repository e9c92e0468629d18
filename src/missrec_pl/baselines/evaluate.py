"""Full ranking of baselines on the split that the model is evaluated on, under both protocols."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Int

from missrec_pl.baselines.base import Baseline, BaselineData, LeftOutError, Settings, TunableBaseline
from missrec_pl.baselines.choice import Choice, blocks, choose, rank
from missrec_pl.baselines.histories import HeldOut, Histories
from missrec_pl.baselines.registry import Context, Options, available, check_names
from missrec_pl.baselines.scores import Ranks
from missrec_pl.metrics import RankingMetrics

VALIDATION_USERS = 4000
"""Constants are chosen on at most so many validation users, a fixed random sample of them."""

# Small catalogues are left to one thread, and so are large ones on two cores: half of the work cannot be shared,
# and where another program keeps a core busy, two threads that wait for each other took five times as long as one.
_ITEMS_OF_ONE_THREAD = 10_000
_FEW_THREADS = 2


@dataclass
class BaselineReport:
    """What a run shows of its baselines; all dictionaries by the baselines' names.

    Attributes:
        included: Metrics where the history's items are candidates: ``{"test/recall@10": 0.038, ...}``.
        excluded: Metrics where they are not (a target that repeats one of them is).
        settings: The constants behind each: ``{"history_included": {...}, "history_excluded": {...}}``.
        left_out: Why a baseline is not among them.
        seconds: Wall-clock time to fit, to choose the constants and to rank.
        ranks: ``[B]`` ranks under both protocols, in the order of the test histories; empty unless they were asked
            for.
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
        validation: Histories and targets to choose the constants on; None keeps those to fall back on.
        names: Registered names; None = all that there are for the domain.
        ks: Cut-offs of `RankingMetrics`.
        compat: The released evaluator's cut-offs and rounding, as in `RankingMetrics`.
        prefix: Put before the metric names, ``test/recall@10``.
        most_rows: Histories scored at once; fewer where a baseline's scores are dense and the catalogue large.
            Results agree to the last bits of a dot product.
        validation_users: Choose on at most so many.
        options: What the user set.
        keep_ranks: Keep the rank of every target: 8 bytes for each baseline and test history.

    Returns:
        The report, in the order of ``names``.

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
    with _threads(1 if data.num_items <= _ITEMS_OF_ONE_THREAD or threads <= _FEW_THREADS else threads):
        entries, left_out = _prepare_all(Context(data, options), names, validation, ks, compat)
        for is_sparse in (False, True):
            group = [entry for entry in entries if getattr(entry.baseline, "is_sparse", False) is is_sparse]
            _rank_all(group, test, data.num_items, most_rows, keep_ranks=keep_ranks)
    return BaselineReport(
        included={entry.baseline.name: entry.values(prefix, history_excluded=False) for entry in entries},
        excluded={entry.baseline.name: entry.values(prefix, history_excluded=True) for entry in entries},
        settings={
            entry.baseline.name: entry.choice.by_protocol() for entry in entries if entry.choice is not None
        },
        left_out=left_out,
        seconds={entry.baseline.name: entry.seconds for entry in entries},
        ranks={entry.baseline.name: entry.ranks() for entry in entries if keep_ranks},
    )


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
        entries.append(_Entry(baseline, choices.get(name), included, excluded, seconds))
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
    if isinstance(baseline, TunableBaseline):
        of_parts = {part.name: choices[part.name] for part in baseline.parts}
        choices[baseline.name] = choose(baseline, validation, data.num_items, of_parts)


@dataclass
class _Entry:
    """A fitted baseline on its way through the test split."""

    baseline: Baseline
    choice: Choice | None
    included: RankingMetrics
    excluded: RankingMetrics
    seconds: float
    blocks: list[Ranks] = field(default_factory=list)

    def update(self, histories: Histories, columns: Int[np.ndarray, " B"], *, keep_ranks: bool) -> None:
        started = time.perf_counter()
        settings = None if self.choice is None else self.choice.included
        included = excluded = rank(self.baseline, histories, columns, settings)
        if self.choice is not None and self.choice.excluded != settings:
            excluded = rank(self.baseline, histories, columns, self.choice.excluded)
        self.included.update(torch.from_numpy(included.included))
        self.excluded.update(torch.from_numpy(excluded.excluded))
        if keep_ranks:
            self.blocks.append(Ranks(included.included.astype(np.float32), excluded.excluded.astype(np.float32)))
        self.seconds += time.perf_counter() - started

    def ranks(self) -> Ranks:
        included, excluded = zip(*((block.included, block.excluded) for block in self.blocks), strict=True)
        return Ranks(np.concatenate(included), np.concatenate(excluded))

    def values(self, prefix: str, *, history_excluded: bool) -> dict[str, float]:
        metrics = self.excluded if history_excluded else self.included
        return {f"{prefix}/{key}": float(value) for key, value in metrics.compute().items()}


def _rank_all(
    entries: Sequence[_Entry], test: HeldOut, num_items: int, most_rows: int, *, keep_ranks: bool
) -> None:
    baselines = [entry.baseline for entry in entries]
    if not entries:
        return
    for histories, columns in blocks(test, num_items, *baselines, most_rows=most_rows):
        for entry in entries:
            entry.update(histories, columns, keep_ranks=keep_ranks)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
