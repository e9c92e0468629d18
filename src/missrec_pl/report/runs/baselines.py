"""The simple baselines of a data set, user by user: from a run of ``phase=baselines``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.report.runs.collect import BASELINES, HISTORY_EXCLUDED, RunResult
from missrec_pl.report.runs.ranks import Ranks, read_baseline_ranks


def baselines_beside(results: Sequence[RunResult], run: RunResult) -> dict[str, Ranks]:
    """The baselines of the data that a run was tested on, with the modalities that it reads.

    Returns:
        ``hybrid_knn`` -> ranks under the run's protocol; ``hybrid_knn/history_excluded`` -> ranks without the
        history, whatever the metric's name says.

    Raises:
        DataError: No run of ``phase=baselines`` fits.
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
    found = {}
    for name, ranks in read_baseline_ranks(fits[0]).items():
        found[name] = ranks
        excluded = ranks.rank_history_excluded
        assert excluded is not None
        found[name + HISTORY_EXCLUDED] = replace(ranks, rank=excluded)
    return found


def pick_baseline(name: str, baselines: Mapping[str, Ranks]) -> Ranks:
    """The one of that name.

    Raises:
        ConfigError: There is none.
    """
    if name not in baselines:
        raise ConfigError(f"no baseline {name}; choose from {', '.join(baselines)}")
    return baselines[name]
