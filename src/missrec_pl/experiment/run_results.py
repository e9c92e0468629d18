"""What a run has measured, as results.json says it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig

from missrec_pl.callbacks import BEYOND_ACCURACY, EpochLines, InterestRefresh, RanksFile, RunClock
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment import building
from missrec_pl.experiment.comparison import baseline_entries
from missrec_pl.experiment.results import peak_rss_mb, protocol, score_lines, versions, write_results
from missrec_pl.experiment.tracking.outcome import outcome_of
from missrec_pl.experiment.tracking.telling import tell
from missrec_pl.modules import TrainingModule
from missrec_pl.modules.ranking import RankingModule

log = logging.getLogger(__name__)

_HISTORY_EXCLUDED = "test_history_excluded/"


def run_results(
    cfg: DictConfig,
    trainer: L.Trainer,
    module: TrainingModule,
    datamodule: DomainDataModule,
    clock: RunClock,
    validation: dict[str, float],
) -> dict[str, Any]:
    """Everything that is known when a run has ended, but for its checkpoint."""
    evaluated = next((c.evaluated for c in trainer.callbacks if isinstance(c, RanksFile)), None)  # type: ignore[attr-defined]
    peak = peak_rss_mb()  # the model's: the baselines come after it
    best = next((c.best_epoch for c in trainer.callbacks if isinstance(c, EpochLines)), None)  # type: ignore[attr-defined]
    refreshes = [c.seconds for c in trainer.callbacks if isinstance(c, InterestRefresh)]  # type: ignore[attr-defined]
    return {
        "phase": cfg.phase.name,
        "data": cfg.data.name,
        "setting": cfg.setting.name,
        "model": cfg.model["_target_"].rpartition(".")[2],
        "seed": cfg.seed,
        "init": "scratch" if cfg.ckpt is None else "pretrained",
        "ckpt": cfg.ckpt,
        "protocol": protocol(cfg),
        "modalities": datamodule.catalogue.modalities,
        "reads": sorted(module.model.reads),
        "interest": building.interests_in_words(cfg, module.model),
        **(building.plain(cfg.command) if "command" in cfg else {}),
        "best_epoch": best,
        "metrics": validation | scalars(trainer.callback_metrics, "test/"),
        "metrics_history_excluded": _as_test(trainer.callback_metrics, _HISTORY_EXCLUDED),
        "metrics_beyond_accuracy": _as_test(trainer.callback_metrics, BEYOND_ACCURACY),
        "num_test_users": len(datamodule.sequences.test),
        "num_evaluated_users": 0 if evaluated is None else len(evaluated),
        **(
            baseline_entries(cfg, datamodule, evaluated)
            if trainer.is_global_zero and cfg.test
            else {"baselines": {}}
        ),
        "timing": {
            "fit_s": clock.fit_seconds,
            "fit_cpu_s": clock.fit_cpu_seconds,
            "epoch_s": clock.epoch_seconds,
            "interest_refresh_s": [seconds for refresh in refreshes for seconds in refresh],
            "test_s": clock.test_seconds,
        },
        "peak_rss_mb": peak,
        **building.count_parameters(module),
        "data_fingerprints": building.fingerprints(datamodule),
        "versions": versions(),
    }


def finish(
    cfg: DictConfig,
    trainer: L.Trainer,
    module: RankingModule,
    datamodule: DomainDataModule,
    results: dict[str, Any],
) -> None:
    """Write the results, say them, and tell the loggers."""
    folder = Path(cfg.paths.output_dir)
    file = write_results(folder, results)
    for line in score_lines(results):
        log.info(line)
    log.info("results: %s", file)
    if trainer.loggers:
        lines = [callback for callback in trainer.callbacks if isinstance(callback, EpochLines)]  # type: ignore[attr-defined]
        epoch = lines[0].best_epoch if lines else None
        tell(trainer.loggers, outcome_of(results, folder, module=module, datamodule=datamodule, epoch=epoch))


def _as_test(metrics: Any, prefix: str) -> dict[str, float]:
    return {name.replace(prefix, "test/"): value for name, value in scalars(metrics, prefix).items()}


def scalars(metrics: Any, prefix: str) -> dict[str, float]:
    """The values of Lightning's metrics whose names begin so."""
    return {name: float(value) for name, value in metrics.items() if name.startswith(prefix)}
