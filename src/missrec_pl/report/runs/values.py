"""Metrics of a run or of a baseline by name, and means of several."""

from collections.abc import Sequence
from statistics import mean, stdev

from missrec_pl.errors import DataError
from missrec_pl.report.runs.collect import HISTORY_EXCLUDED, RunResult


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


def mean_and_deviation(rows: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], tuple[float, ...] | None]:
    """Over rows, one per seed: the mean of each column, and its sample deviation where there are several rows."""
    columns = list(zip(*rows, strict=True))
    deviations = tuple(stdev(column) for column in columns) if len(rows) > 1 else None
    return tuple(mean(column) for column in columns), deviations
