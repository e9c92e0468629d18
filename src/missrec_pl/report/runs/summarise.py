"""Group runs, average over seeds, and check that what is averaged or shared may be."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import TypeVar

from missrec_pl.errors import DataError
from missrec_pl.report.runs.collect import HISTORY_EXCLUDED, INITS, PRETRAIN, RunResult
from missrec_pl.report.runs.variants import variant

# Baselines are deterministic; near-ties of a dot product may still fall otherwise on another processor.
_BASELINE_TOLERANCE = 1e-6
_BASELINES_FIRST = ("random", "popularity")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class BaselineRow:
    """One baseline on one data set: its metrics in the order that was asked for."""

    data: str
    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class RunRow:
    """Runs that differ in their seed alone.

    Attributes:
        means: Over seeds, in the order of the metrics asked for.
        deviations: Sample standard deviations (n - 1); None for a single seed.
        variant: The experiment and the overrides that set the runs apart; see `variant`.
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
    """All rows of a report; `pretraining` runs have no test metrics and are listed apart."""

    metrics: tuple[str, ...]
    baselines: list[BaselineRow]
    runs: list[RunRow]
    pretraining: list[RunResult]

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
    tested = [result for result in results if result.phase != PRETRAIN]
    return Summary(
        metrics=tuple(metrics),
        baselines=_baseline_rows(tested, metrics),
        runs=_run_rows([result for result in tested if result.is_tested], metrics),
        pretraining=[result for result in results if result.phase == PRETRAIN],
    )


def _baseline_rows(results: Sequence[RunResult], metrics: Sequence[str]) -> list[BaselineRow]:
    seen: dict[tuple[str, str], dict[tuple[str, ...], tuple[tuple[float, ...], RunResult]]] = {}
    for result in results:
        for name in result.baselines:
            values = metric_values(result, metrics, baseline=name)
            # A baseline that reads features is another one where a run is given other modalities.
            by_modalities = seen.setdefault((result.data, name), {})
            first, origin = by_modalities.setdefault(result.modalities, (values, result))
            if not _are_close(first, values):
                raise DataError(
                    f"baseline {name} on {result.data} differs between {origin.path} ({_in_words(first)}) "
                    f"and {result.path} ({_in_words(values)}): different data or splits, report them apart"
                )
    names = list(dict.fromkeys([*_BASELINES_FIRST, *(name for _, name in seen)]))
    rows = []
    for data, name in sorted(seen, key=lambda key: (key[0], names.index(key[1]))):
        kinds = {modalities: values for modalities, (values, _) in seen[data, name].items()}
        first = next(iter(kinds.values()))
        if all(_are_close(first, values) for values in kinds.values()):
            kinds = {(): first}
        rows += [
            BaselineRow(data, f"{name} ({'+'.join(modalities)})" if modalities else name, values)
            for modalities, values in kinds.items()
        ]
    return rows


def _are_close(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(a - b) <= _BASELINE_TOLERANCE for a, b in zip(first, second, strict=True))


def _run_rows(results: Sequence[RunResult], metrics: Sequence[str]) -> list[RunRow]:
    keys = [(run.data, run.setting, run.init, run.model, variant(run)) for run in results]
    groups = by_seed(zip(keys, results, strict=True), metrics)
    ordered = sorted(groups, key=lambda key: (*key[:2], INITS.index(key[2]), *key[3:]))
    return [_run_row(key, list(groups[key].values()), metrics) for key in ordered]


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


def mean_and_deviation(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Over rows, one per seed: the mean of each column, and its sample deviation where there are several rows."""
    columns = list(zip(*rows, strict=True))
    deviations = tuple(stdev(column) for column in columns) if len(rows) > 1 else None
    return tuple(mean(column) for column in columns), deviations


def _run_row(key: tuple[str, str, str, str, str], runs: Sequence[RunResult], metrics: Sequence[str]) -> RunRow:
    means, deviations = mean_and_deviation([metric_values(run, metrics) for run in runs])
    return RunRow(
        *key,
        means=means,
        deviations=deviations,
        num_seeds=len(runs),
        seconds=mean(run.seconds for run in runs),
    )


def metric_values(result: RunResult, metrics: Sequence[str], *, baseline: str | None = None) -> tuple[float, ...]:
    """Test metrics of a run, or of one of its baselines; ``recall@10/history_excluded`` is of the other protocol.

    Raises:
        DataError: One is missing.
    """
    own, excluded = (
        (result.metrics, result.history_excluded)
        if baseline is None
        else (result.baselines[baseline], result.baselines_history_excluded.get(baseline, {}))
    )
    source = {**own, **{name + HISTORY_EXCLUDED: value for name, value in excluded.items()}}
    missing = [f"test/{metric}" for metric in metrics if f"test/{metric}" not in source]
    if missing:
        where = "metrics" if baseline is None else f"baselines.{baseline}"
        raise DataError(
            f"{result.path}: {where} lacks {', '.join(missing)}; it has {', '.join(source) or 'nothing'}"
        )
    return tuple(source[f"test/{metric}"] for metric in metrics)


def _in_words(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
