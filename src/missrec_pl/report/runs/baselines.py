"""The simple baselines of a data set, user by user: from a run of ``phase=baselines``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.runs.baseline_rows import BASELINE_TOLERANCE
from missrec_pl.report.runs.collect import BASELINES, HISTORY_EXCLUDED, RunResult
from missrec_pl.report.runs.ranks import Ranks, check_same_targets, read_baseline_ranks, read_ranks


def baselines_beside(results: Sequence[RunResult], run: RunResult) -> dict[str, Ranks]:
    """The baselines of the data that a run was tested on, with the modalities that it reads.

    Those of several runs of ``phase=baselines`` count together.

    Args:
        results: where the runs of ``phase=baselines`` are looked for.
        run: a run that has ranks.

    Returns:
        ``hybrid_knn`` -> ranks under the run's protocol; ``hybrid_knn/history_excluded`` -> ranks without the
        history, whatever the metric's name says.

    Raises:
        DataError: No run of ``phase=baselines`` fits, one has other users, targets or lengths of histories, or two
            disagree on a baseline.
    """
    fits = [
        one
        for one in results
        if one.phase == BASELINES and (one.data, one.modalities) == (run.data, run.modalities)
    ]
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
        if not are_alike(first, ranks):
            raise DataError(
                f"baseline {name} differs between {first.path} and {ranks.path}: name one of them only"
            )
    both: dict[str, Ranks] = {}
    for name, ranks in found.items():
        excluded = ranks.rank_history_excluded
        assert excluded is not None
        both |= {name: ranks, name + HISTORY_EXCLUDED: replace(ranks, rank=excluded)}
    return both


def are_alike(first: Ranks, second: Ranks) -> bool:
    """Whether two baselines rank alike, but for near-ties."""
    for name in ("rank", "rank_history_excluded"):
        gap = np.abs(1 / getattr(first, name) - 1 / getattr(second, name)).mean()
        if gap > BASELINE_TOLERANCE:
            return False
    return True


def check_same_histories(first: Ranks, second: Ranks) -> None:
    """Refuse to compare a baseline with a model, or with other baselines, that read more or less of the histories.

    Raises:
        DataError: The histories are cut at other lengths.
    """
    if not np.array_equal(first.history_length, second.history_length):
        longest = [f"{ranks.path} reads at most {ranks.history_length.max()} items" for ranks in (first, second)]
        raise DataError(
            f"{' and '.join(longest)} of a history: run phase=baselines with the run's data.max_history, and name "
            "its folder instead"
        )


def pick_baseline(name: str, baselines: Mapping[str, Ranks]) -> Ranks:
    """The one of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in baselines:
        raise ConfigError(f"no baseline {name}; choose from {', '.join(baselines)}")
    return baselines[name]
