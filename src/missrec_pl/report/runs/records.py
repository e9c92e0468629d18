"""What a report needs of a results.json."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.report.output import as_measured

PRETRAIN = "pretrain"
BASELINES = "baselines"
EVALUATION = "eval"
UNTESTED = "runs without test metrics"
INITS = ("scratch", "zero_shot", "pretrained")

_WITHOUT_TEST = (PRETRAIN, BASELINES)  # phases that test no model


@dataclass(frozen=True)
class Training:
    """How a run was started. Old results, those of earlier versions, lack some of it."""

    phase: str  # pretrain, baselines (no model), or a phase that tests a model
    data: str  # the data set, several joined by +; a run's with its protocol in brackets, if not the default
    setting: str  # inductive or transductive; empty when a run pre-trains or has no model
    model: str  # empty for baselines alone
    experiment: str  # the overlay below configs/experiment; empty without one
    experiment_model: str  # the model's config that the overlay, or the default, chooses; empty in old results
    overrides: tuple[str, ...]  # the rest of the command line
    origin: "Training | None"  # what made the checkpoint to start from; None from scratch and in old results


@dataclass(frozen=True)
class Trial:
    """The place of a run in the comparison of networks (`benchmarks/comparison.py`)."""

    stage: str  # search (validation alone) or seeds (tested)
    column: str  # the network, with what its runs share
    rate: float
    dropout: float


@dataclass(frozen=True)
class RunResult(Training):
    """A run and its numbers."""

    path: Path  # of the file
    data_name: str  # the data set without the deviations in brackets
    seed: int
    init: str  # one of INITS; empty when pre-training and for baselines alone
    metrics: Mapping[str, float]  # {"val/ndcg@10": ..., "test/mrr": ..., "test/mrr/history_excluded": ...}
    baselines: Mapping[str, Mapping[str, float]]  # the metrics of each, named like the run's
    seconds: float  # of the fit by the clock on the wall; 0 without a fit
    protocol: tuple[
        str, ...
    ]  # deviations from the default protocol, e.g. ("compat",), a test of some users among them
    is_strict: bool  # whether an excluded history excludes a target that repeats one of its items
    modalities: tuple[str, ...]  # of the data, in the paper's order
    reads: tuple[str, ...]  # by the network: ids, features, attributes, timestamps; empty in old results
    interest: tuple[str, Any] | None  # method and number (or share) of the prototypes; None without interests
    epochs: int
    cpu_seconds: float | None  # of the fit; None without a fit and in old results
    peak_mb: float | None  # largest resident memory; None in old results
    num_params: int  # 0 where nobody says it
    best_epoch: int | None = None  # from 0; None where no score decides, and in old results
    trial: Trial | None = None  # None for a run that is no record of the comparison

    @property
    def is_tested(self) -> bool:
        """Whether it holds a model's test metrics."""
        return self.phase not in _WITHOUT_TEST and any(name.startswith("test/") for name in self.metrics)

    @property
    def is_untested(self) -> bool:
        """Whether it lacks the test metrics that its phase may have: ``test=false``, trials of a search."""
        return self.phase not in _WITHOUT_TEST and not self.is_tested

    def test_metrics(self, names: Sequence[str], baseline: str | None = None) -> tuple[float, ...]:
        """Metrics of the run or of one baseline, by names without ``test/``; a `DataError` if one is missing."""
        source = self.metrics if baseline is None else self.baselines[baseline]
        measured = [as_measured(name) for name in names]
        missing = [f"test/{name}" for name, _ in measured if f"test/{name}" not in source]
        if missing:
            where = "metrics" if baseline is None else f"baselines.{baseline}"
            found = ", ".join(source) or "nothing"
            raise DataError(f"{self.path}: {where} lacks {', '.join(missing)}; it has {found}")
        return tuple(source[f"test/{name}"] * factor for name, factor in measured)


def with_metrics(results: Iterable[RunResult], names: Sequence[str]) -> tuple[list[RunResult], list[str]]:
    """The runs but those whose test lacks a metric, and a line that counts these; metrics without ``test/``."""
    kept: list[RunResult] = []
    without: list[RunResult] = []
    for run in results:
        missing = [name for name in names if run.is_tested and f"test/{name}" not in run.metrics]
        (without if missing else kept).append(run)
    if not without:
        return kept, []
    lacked = [name for name in names if any(f"test/{name}" not in run.metrics for run in without)]
    return kept, [f"left out: {len(without)} of runs without {', '.join(lacked)}, {without[0].path} the first"]


def untested_note(results: Iterable[RunResult]) -> list[str]:
    """A line that counts the runs that a table of test metrics leaves out; no line where there are none."""
    number = sum(result.is_untested for result in results)
    return [f"left out: {number} of {UNTESTED}"] if number else []
