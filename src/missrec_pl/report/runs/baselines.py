"""Simple baselines: their metrics as the runs' results carry them, and their ranks from ``phase=baselines``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.output import HISTORY_EXCLUDED
from missrec_pl.report.runs.ranks import EXCLUDED, RANK, Ranks, check_same_targets, read_baseline_ranks, read_ranks
from missrec_pl.report.runs.records import BASELINES, RunResult

_TOLERANCE = 1e-6  # baselines are deterministic, but processors may break near-ties of a dot product differently
_FIRST = ("random", "popularity")

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
    """The baselines in the results, by data set; all, or those that are named.

    A `DataError` if one lacks a metric, or differs between results on the same data and modalities.
    """
    seen: dict[tuple[str, str], dict[tuple[str, ...], tuple[tuple[float, ...], RunResult]]] = {}
    for result in results:
        for name in result.baselines if only is None else [name for name in only if name in result.baselines]:
            values = result.test_metrics(metrics, baseline=name)
            # A baseline that reads features gives other numbers on other modalities.
            by_modalities = seen.setdefault((result.data, name), {})
            first, origin = by_modalities.setdefault(result.modalities, (values, result))
            if not _are_close(first, values):
                raise DataError(
                    f"baseline {name} on {result.data} differs between {origin.path} ({_in_words(first)}) "
                    f"and {result.path} ({_in_words(values)}): different data or splits, report them apart"
                )
    names = list(dict.fromkeys([*_FIRST, *(name for _, name in seen)]))
    rows = []
    for data, name in sorted(seen, key=lambda key: (key[0], names.index(key[1]))):
        kinds = {modalities: values for modalities, (values, _) in seen[data, name].items()}
        rows += [BaselineRow(data, label, values) for label, values in labelled(name, kinds, _are_close).items()]
    return rows


def labelled(
    name: str, kinds: Mapping[tuple[str, ...], Values], are_alike: Callable[[Values, Values], bool]
) -> dict[str, Values]:
    """A baseline's values by its name in a table: ``hybrid_knn (text)`` where the modalities, its keys, matter."""
    first = next(iter(kinds.values()))
    if all(are_alike(first, values) for values in kinds.values()):
        return {name: first}
    return {f"{name} ({'+'.join(modalities) or 'IDs'})": values for modalities, values in kinds.items()}


def baselines_beside(results: Sequence[RunResult], run: RunResult) -> dict[str, Ranks]:
    """The baselines of all runs of ``phase=baselines`` on a run's data and modalities.

    Each comes twice: ``hybrid_knn`` with ranks under the run's protocol, ``hybrid_knn/history_excluded`` with
    ranks without the history. A `DataError` if no run of ``phase=baselines`` fits, if one has other users, targets
    or lengths of histories, or if two disagree on a baseline.
    """
    place = (BASELINES, run.data, run.modalities)
    fits = [one for one in results if (one.phase, one.data, one.modalities) == place]
    if not fits:
        raise DataError(
            f"no run of phase=baselines for {run.data} ({'+'.join(run.modalities)}) among the folders: make one "
            "with python train.py phase=baselines data=..., and name its folder, too"
        )
    origin = read_ranks(run)
    found: dict[str, Ranks] = {}
    for name, ranks in (pair for one in fits for pair in read_baseline_ranks(one).items()):
        check_same_targets(origin, ranks)
        check_same_histories(origin, ranks)
        first = found.setdefault(name, ranks)
        if not rank_alike(first, ranks):
            raise DataError(
                f"baseline {name} differs between {first.path} and {ranks.path}: name one of them only"
            )
    both: dict[str, Ranks] = {}
    for name, ranks in found.items():
        excluded = replace(ranks, columns={**ranks.columns, RANK: ranks[EXCLUDED]})
        both |= {name: ranks, name + HISTORY_EXCLUDED: excluded}
    return both


def pick_baseline(name: str, baselines: Mapping[str, Ranks]) -> Ranks:
    """The one of that name; a `ConfigError` if there is none."""
    if name not in baselines:
        raise ConfigError(f"no baseline {name}; choose from {', '.join(baselines)}")
    return baselines[name]


def rank_alike(first: Ranks, second: Ranks) -> bool:
    """Whether two baselines rank alike, but for near-ties."""
    return all(np.abs(1 / first[name] - 1 / second[name]).mean() <= _TOLERANCE for name in (RANK, EXCLUDED))


def check_same_histories(first: Ranks, second: Ranks) -> None:
    """Raise a `DataError` where histories were cut at different lengths."""
    if not np.array_equal(first["history_length"], second["history_length"]):
        longest = [f"{one.path} reads at most {one['history_length'].max()} items" for one in (first, second)]
        raise DataError(
            f"{' and '.join(longest)} of a history: run phase=baselines with the run's data.max_history, and name "
            "its folder instead"
        )


def _are_close(first: Sequence[float], second: Sequence[float]) -> bool:
    return all(abs(a - b) <= _TOLERANCE for a, b in zip(first, second, strict=True))


def _in_words(values: Sequence[float]) -> str:
    return " ".join(f"{value:.6f}" for value in values)
