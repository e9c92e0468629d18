"""Runs that differ in their seed alone: finding them, and averaging over them."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TypeVar

from missrec_pl.errors import DataError
from missrec_pl.report.output import HISTORY_EXCLUDED
from missrec_pl.report.runs.records import INITS, RunResult
from missrec_pl.report.runs.variants import origin_in_words, variant

Key = TypeVar("Key", bound=Hashable)
Runs = Mapping[int, RunResult]  # by seed


@dataclass(frozen=True)
class RunRow:
    """Runs that differ in their seed alone."""

    data: str
    setting: str
    init: str
    model: str
    variant: str  # see `variant`; with `origin_in_words` where rows differ in that alone
    means: tuple[float, ...]  # over seeds, in the order of the metrics asked for
    deviations: tuple[float, ...] | None  # sample standard deviations (n - 1); None for a single seed
    num_seeds: int
    seconds: float  # mean of the fits by the clock on the wall


def run_rows(results: Iterable[RunResult], metrics: Sequence[str]) -> list[RunRow]:
    """Rows of the tested runs, by data, setting, start, model and variant.

    A `DataError` if a run lacks a metric, or two runs differ in nothing but their numbers.
    """
    tested = [result for result in results if result.is_tested]
    keys = [(run.data, run.setting, run.init, run.model, variant(run), origin_in_words(run)) for run in tested]
    groups = by_seed(zip(keys, tested, strict=True), metrics)
    num_origins = Counter(key[:5] for key in groups)
    rows = []
    for key in sorted(groups, key=lambda key: (*key[:2], INITS.index(key[2]), *key[3:])):
        data, setting, init, model, said, origin = key
        if num_origins[key[:5]] > 1:  # nothing else tells these rows apart
            said = " ".join(filter(None, [said, origin]))
        runs = groups[key]
        means, deviations = over_seeds(runs, metrics)
        seconds = mean(run.seconds for run in runs.values())
        rows.append(RunRow(data, setting, init, model, said, means, deviations, len(runs), seconds))
    return rows


def by_seed(
    keyed: Iterable[tuple[Key, RunResult]],
    metrics: Sequence[str] | None = None,
    *,
    prefer: Callable[[RunResult], float] = lambda run: run.seconds,
) -> dict[Key, dict[int, RunResult]]:
    """Runs of each key by their seed; a later evaluation of a run is the same run.

    Of the two, the one that ``prefer`` is largest for is kept, by default the fit, which took longer. They have to
    agree in the metrics, by default in all test metrics under the run's protocol; a `DataError` otherwise.
    """
    groups: dict[Key, dict[int, RunResult]] = {}
    for key, result in keyed:
        group = groups.setdefault(key, {})
        twin = group.setdefault(result.seed, result)
        names = _shared(twin, result) if metrics is None else metrics
        if twin.test_metrics(names) != result.test_metrics(names):
            raise DataError(
                f"{twin.path} and {result.path} have the same data, setting, start, model, experiment and seed "
                "but different metrics: name only one of them"
            )
        group[result.seed] = max(twin, result, key=prefer)
    return groups


def over_seeds(runs: Runs, metrics: Sequence[str]) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """`mean_and_deviation` of test metrics; a `DataError` if a run lacks one."""
    return mean_and_deviation([run.test_metrics(metrics) for run in runs.values()])


def mean_and_deviation(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Over rows, one per seed: the mean of each column, and its sample deviation where there are several rows."""
    columns = list(zip(*rows, strict=True))
    deviations = tuple(stdev(column) for column in columns) if len(rows) > 1 else None
    return tuple(mean(column) for column in columns), deviations


def _shared(first: RunResult, second: RunResult) -> list[str]:
    """The test metrics under the run's protocol that both have, an earlier version's fewer."""
    names = sorted(first.metrics.keys() & second.metrics.keys())
    return [
        name.removeprefix("test/") for name in names if name.startswith("test/") and HISTORY_EXCLUDED not in name
    ]
