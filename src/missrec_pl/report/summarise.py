"""Group runs, average over seeds, and check that what is averaged or shared may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from missrec_pl.errors import DataError
from missrec_pl.report.collect import INITS, PRETRAIN, RunResult

# Baselines are deterministic; near-ties of a dot product may still fall otherwise on another processor.
_BASELINE_TOLERANCE = 1e-6
_BASELINES_FIRST = ("random", "popularity")


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
        num_seeds: Number of runs.
        seconds: Mean wall-clock seconds of the fit.
    """

    data: str
    setting: str
    init: str
    model: str
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
        runs=_run_rows(tested, metrics),
        pretraining=[result for result in results if result.phase == PRETRAIN],
    )


def _baseline_rows(results: Sequence[RunResult], metrics: Sequence[str]) -> list[BaselineRow]:
    seen: dict[tuple[str, str], tuple[tuple[float, ...], RunResult]] = {}
    for result in results:
        for name in result.baselines:
            values = _values(result, metrics, baseline=name)
            first, origin = seen.setdefault((result.data, name), (values, result))
            if any(abs(a - b) > _BASELINE_TOLERANCE for a, b in zip(first, values, strict=True)):
                raise DataError(
                    f"baseline {name} on {result.data} differs between {origin.path} ({_in_words(first)}) "
                    f"and {result.path} ({_in_words(values)}): different data or splits, report them apart"
                )
    names = list(dict.fromkeys([*_BASELINES_FIRST, *(name for _, name in seen)]))
    ordered = sorted(seen, key=lambda key: (key[0], names.index(key[1])))
    return [BaselineRow(data, name, seen[data, name][0]) for data, name in ordered]


def _run_rows(results: Sequence[RunResult], metrics: Sequence[str]) -> list[RunRow]:
    groups: dict[tuple[str, str, str, str], dict[int, RunResult]] = {}
    for result in results:
        group = groups.setdefault((result.data, result.setting, result.init, result.model), {})
        twin = group.setdefault(result.seed, result)
        if _values(twin, metrics) != _values(result, metrics):
            raise DataError(
                f"{twin.path} and {result.path} have the same data, setting, start, model and seed "
                "but different metrics: name only one of them"
            )
        # A twin with equal metrics is a later evaluation of the run; the fit is the one that took longer.
        group[result.seed] = max(twin, result, key=lambda run: run.seconds)
    ordered = sorted(groups, key=lambda key: (*key[:2], INITS.index(key[2]), key[3]))
    return [_run_row(key, list(groups[key].values()), metrics) for key in ordered]


def _run_row(key: tuple[str, str, str, str], runs: Sequence[RunResult], metrics: Sequence[str]) -> RunRow:
    columns = list(zip(*(_values(run, metrics) for run in runs), strict=True))
    return RunRow(
        *key,
        means=tuple(mean(column) for column in columns),
        deviations=tuple(stdev(column) for column in columns) if len(runs) > 1 else None,
        num_seeds=len(runs),
        seconds=mean(run.seconds for run in runs),
    )


def _values(result: RunResult, metrics: Sequence[str], *, baseline: str | None = None) -> tuple[float, ...]:
    source = result.metrics if baseline is None else result.baselines[baseline]
    missing = [f"test/{metric}" for metric in metrics if f"test/{metric}" not in source]
    if missing:
        where = "metrics" if baseline is None else f"baselines.{baseline}"
        raise DataError(
            f"{result.path}: {where} lacks {', '.join(missing)}; it has {', '.join(source) or 'nothing'}"
        )
    return tuple(source[f"test/{metric}"] for metric in metrics)


def _in_words(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
