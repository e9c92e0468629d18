"""The baselines that results carry: a row for each, several where their modalities matter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from missrec_pl.errors import DataError
from missrec_pl.report.runs.collect import RunResult
from missrec_pl.report.runs.values import metric_values

BASELINE_TOLERANCE = 1e-6
"""Baselines are deterministic; near-ties of a dot product may still fall otherwise on another processor."""

_BASELINES_FIRST = ("random", "popularity")

Values = TypeVar("Values")


@dataclass(frozen=True)
class BaselineRow:
    """One baseline on one data set: its metrics in the order that was asked for."""

    data: str
    name: str
    values: tuple[float, ...]


def baseline_rows(
    results: Sequence[RunResult], metrics: Sequence[str], only: Sequence[str] | None = None
) -> list[BaselineRow]:
    """The baselines beside the results, by data set.

    Args:
        results: as `collect` returns them.
        metrics: names without the ``test/`` prefix.
        only: names of the baselines; None for all.

    Raises:
        DataError: One lacks a metric, or differs between results on the same data and modalities.
    """
    seen: dict[tuple[str, str], dict[tuple[str, ...], tuple[tuple[float, ...], RunResult]]] = {}
    for result in results:
        for name in result.baselines if only is None else [name for name in only if name in result.baselines]:
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
        rows += [BaselineRow(data, label, values) for label, values in labelled(name, kinds, _are_close).items()]
    return rows


def labelled(
    name: str, kinds: Mapping[tuple[str, ...], Values], are_alike: Callable[[Values, Values], bool]
) -> dict[str, Values]:
    """A baseline's values by what a table calls it: ``hybrid_knn``, or ``hybrid_knn (text)`` where it matters.

    Args:
        name: of the baseline.
        kinds: the modalities that it read -> its values.
        are_alike: whether two of them are the same.
    """
    first = next(iter(kinds.values()))
    if all(are_alike(first, values) for values in kinds.values()):
        return {name: first}
    return {f"{name} ({'+'.join(modalities) or 'IDs'})": values for modalities, values in kinds.items()}


def _are_close(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(a - b) <= BASELINE_TOLERANCE for a, b in zip(first, second, strict=True))


def _in_words(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
