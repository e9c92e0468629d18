"""Group runs, average over seeds, and check that what is averaged or shared may be."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import TypeVar

from missrec_pl.errors import DataError
from missrec_pl.report.runs.baseline_rows import BaselineRow, baseline_rows
from missrec_pl.report.runs.collect import INITS, PRETRAIN, RunResult, untested_note
from missrec_pl.report.runs.values import mean_and_deviation, metric_values
from missrec_pl.report.runs.variants import origin_in_words, variant

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class RunRow:
    """Runs that differ in their seed alone.

    Attributes:
        means: Over seeds, in the order of the metrics asked for.
        deviations: Sample standard deviations (n - 1); None for a single seed.
        variant: The experiment and the overrides that set the runs apart, see `variant`; and what made the
            checkpoint that they started from, where rows differ in that alone.
        num_seeds: Number of runs.
        seconds: Mean wall-clock seconds of the fit.
    """

    data: str
    setting: str
    init: str
    model: str
    variant: str
    means: tuple[float, ...]
    deviations: tuple[float, ...] | None
    num_seeds: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """All rows of a report; `pretraining` runs have no test metrics and are listed apart.

    ``notes`` say what is left out.
    """

    metrics: tuple[str, ...]
    baselines: list[BaselineRow]
    runs: list[RunRow]
    pretraining: list[RunResult]
    notes: list[str]

    @property
    def experiments_differ(self) -> bool:
        """Whether a column has to tell the runs' experiments apart."""
        return len({row.variant for row in self.runs}) > 1


def summarise(results: Sequence[RunResult], metrics: Sequence[str]) -> Summary:
    """Summarise test metrics.

    Args:
        results: As `collect` returns them.
        metrics: Names without the ``test/`` prefix.

    Raises:
        DataError: A result lacks a metric, two runs differ in nothing but their numbers, or runs on the same
            data carry differing baselines.
    """
    return Summary(
        metrics=tuple(metrics),
        baselines=baseline_rows(results, metrics),
        runs=_run_rows([result for result in results if result.is_tested], metrics),
        pretraining=[result for result in results if result.phase == PRETRAIN],
        notes=untested_note(results),
    )


def _run_rows(results: Sequence[RunResult], metrics: Sequence[str]) -> list[RunRow]:
    keys = [(run.data, run.setting, run.init, run.model, variant(run), origin_in_words(run)) for run in results]
    groups = by_seed(zip(keys, results, strict=True), metrics)
    origins = Counter(key[:5] for key in groups)
    ordered = sorted(groups, key=lambda key: (*key[:2], INITS.index(key[2]), *key[3:]))
    rows = []
    for key in ordered:
        data, setting, init, model, said, origin = key
        if origins[key[:5]] > 1:  # nothing else tells these rows apart
            said = " ".join(filter(None, [said, origin]))
        rows.append(_run_row((data, setting, init, model, said), list(groups[key].values()), metrics))
    return rows


def by_seed(
    keyed: Iterable[tuple[Key, RunResult]],
    metrics: Sequence[str] | None = None,
    *,
    prefer: Callable[[RunResult], float] = lambda run: run.seconds,
) -> dict[Key, dict[int, RunResult]]:
    """Runs of each key by their seed; a later evaluation of a run is the same run.

    Args:
        keyed: runs and what they are grouped by.
        metrics: what the run and its evaluation have to agree in; None for all test metrics.
        prefer: the one that it is largest for is kept. By default the fit: it took longer.

    Raises:
        DataError: Two runs have the same key and seed but different metrics.
    """
    groups: dict[Key, dict[int, RunResult]] = {}
    for key, result in keyed:
        group = groups.setdefault(key, {})
        twin = group.setdefault(result.seed, result)
        if _compared(twin, metrics) != _compared(result, metrics):
            raise DataError(
                f"{twin.path} and {result.path} have the same data, setting, start, model, experiment and seed "
                "but different metrics: name only one of them"
            )
        group[result.seed] = max(twin, result, key=prefer)
    return groups


def _compared(result: RunResult, metrics: Sequence[str] | None) -> list[float]:
    if metrics is not None:
        return list(metric_values(result, metrics))
    return [value for name, value in sorted(result.metrics.items()) if name.startswith("test/")]


def _run_row(key: tuple[str, str, str, str, str], runs: Sequence[RunResult], metrics: Sequence[str]) -> RunRow:
    means, deviations = mean_and_deviation([metric_values(run, metrics) for run in runs])
    return RunRow(
        *key,
        means=means,
        deviations=deviations,
        num_seeds=len(runs),
        seconds=mean(run.seconds for run in runs),
    )
