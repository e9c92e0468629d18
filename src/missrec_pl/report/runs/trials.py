"""Records of a search: which settings of a network are reported, chosen on validation alone."""

from collections.abc import Iterable, Sequence

from missrec_pl.report.runs.records import RunResult, Trial

SEARCH = "search"
_SELECTED_BY = "val/ndcg@10"


def reported_runs(results: Sequence[RunResult]) -> list[RunResult]:
    """The runs without tests of settings that the search has found better ones than.

    A test of settings that nobody searched among stays, as do all runs that belong to no search.
    """
    best = {column: max(trials, key=_validation).trial for column, trials in _searched(results).items()}
    return [run for run in results if run.trial is None or _is_best(run.trial, best.get(run.trial.column))]


def grid_shares(results: Sequence[RunResult]) -> dict[str, str]:
    """How many settings of each column were searched among, as ``3``."""
    return {column: str(len(trials)) for column, trials in _searched(results).items()}


def settings_in_words(trial: Trial) -> str:
    """``NETWORK: lr 0.001, dropout 0.5``."""
    return f"{trial.column}: lr {trial.rate:g}, dropout {trial.dropout:g}"


def _searched(results: Iterable[RunResult]) -> dict[str, list[RunResult]]:
    found: dict[str, list[RunResult]] = {}
    for run in results:
        if run.trial is not None and run.trial.stage == SEARCH:
            found.setdefault(run.trial.column, []).append(run)
    return found


def _validation(run: RunResult) -> float:
    return run.metrics.get(_SELECTED_BY, float("-inf"))


def _is_best(trial: Trial, best: Trial | None) -> bool:
    return trial.stage == SEARCH or best is None or (trial.rate, trial.dropout) == (best.rate, best.dropout)
