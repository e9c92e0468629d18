"""Composition root: config -> objects -> fit and test -> results.json. The only place that knows all parts."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from missrec_pl.callbacks import EpochLines, InterestRefresh, RunClock
from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.checkpoints.resuming import find_checkpoint
from missrec_pl.config.run_folder import refuse_taken_folder, refuse_trained_folder
from missrec_pl.config.validation import preflight
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError
from missrec_pl.experiment import building
from missrec_pl.experiment.comparison import baseline_entries, check_baselines, run_baselines
from missrec_pl.experiment.failures import explained
from missrec_pl.experiment.jobs import needs_own_command, run_as_own_command
from missrec_pl.experiment.results import command, peak_rss_mb, score_lines, source_commit, versions, write_results
from missrec_pl.experiment.stored_runs import (
    check_trained_on,
    complete_config,
    load_members,
    load_network,
    origin,
    resolved,
    stored_run,
)
from missrec_pl.modules.ensemble import Ensemble
from missrec_pl.modules.ranking import RankingModule

log = logging.getLogger(__name__)

_HISTORY_EXCLUDED = "test_history_excluded/"


def train(cfg: DictConfig) -> dict[str, Any]:
    """Run a phase: fit, test the best checkpoint, write ``results.json``.

    Args:
        cfg: the composed config (``configs/train.yaml``).

    Returns:
        The results, as written.

    Raises:
        ConfigError: the config cannot work, or the folder is another run's; nothing was built.
        DataError: the data is missing or damaged.
        CheckpointError: ``ckpt`` does not fit.
    """
    preflight(cfg)
    if HydraConfig.initialized():  # else nobody knows which command this is
        refuse_taken_folder(Path(cfg.paths.output_dir), HydraConfig.get().overrides.task, cfg.resume)
    if needs_own_command(cfg):
        return run_as_own_command(cfg.paths.output_dir)
    _settle(cfg)
    source_commit()  # before anybody commits something else
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    if cfg.phase.name == "baselines":
        return run_baselines(cfg)
    datamodule = building.build_datamodule(cfg)
    check_baselines(cfg, datamodule)
    model = building.build_model(cfg, datamodule)
    for line in building.describe(cfg, datamodule, model):
        log.info(line)
    resumed = None
    if cfg.resume is not None:
        resumed = read_checkpoint(cfg.resume, "resume")
        building.check_resume(cfg, resumed, model, datamodule)
        cfg.command.ckpt_origin = (resumed.config.get("command") or {}).get("ckpt_origin")
    elif cfg.ckpt is not None:
        start = read_checkpoint(cfg.ckpt)
        building.load_weights(cfg, start, model, datamodule)
        cfg.command.ckpt_origin = origin(start)
    module = building.build_module(cfg, model)
    trainer, clock = building.build_trainer(cfg, datamodule, resumed)
    try:
        with explained(trainer, cfg.paths.output_dir, cfg.data.batch_size):
            trainer.fit(module, datamodule=datamodule, ckpt_path=cfg.resume, weights_only=True)
            validation = _best_validation(trainer) or _scalars(trainer.callback_metrics, "val/")
            checkpoint = _best_checkpoint(trainer, required=cfg.test)
            if cfg.test:
                trainer.test(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)
            results = _results(cfg, trainer, module, datamodule, clock, validation)
            results["checkpoint"] = _relative(checkpoint, cfg.paths.output_dir) if checkpoint else None
            if trainer.is_global_zero:
                _finish(Path(cfg.paths.output_dir), results)
    finally:
        _finish_loggers()
    return results


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Test a checkpoint on the data it was trained on, or zero-shot on other data; or several that rank together.

    Args:
        cfg: the composed config (``configs/eval.yaml``).

    Returns:
        The results, as written to the run folder.

    Raises:
        ConfigError: the folder holds the results of a training run.
        CheckpointError: ``ckpt`` cannot be read or does not fit.
        DataError: the data is missing or damaged.
    """
    refuse_trained_folder(Path(cfg.paths.output_dir))
    if needs_own_command(cfg):
        return run_as_own_command(cfg.paths.output_dir)
    source_commit()  # before anybody commits something else
    checkpoint = read_checkpoint(cfg.ckpt)
    with complete_config(f"ckpt={cfg.ckpt}"):
        run = stored_run(checkpoint.config, cfg)
        preflight(run)
        L.seed_everything(run.seed, workers=True, verbose=False)
        datamodule = building.build_datamodule(run, for_training=False)
        model = load_network(run, checkpoint, datamodule)
        first = building.build_module(run, model)
    module: RankingModule = first
    if cfg.ensemble:
        check_trained_on(datamodule, checkpoint, f"ckpt={cfg.ckpt}")
        module = Ensemble([first, *load_members(cfg, run, datamodule)])
        run.callbacks = {}  # each has its interests
    trainer, clock = building.build_trainer(run, datamodule)
    trainer.test(module, datamodule=datamodule, verbose=False)
    results = _results(run, trainer, module, datamodule, clock, {})
    results |= {"phase": "eval", "checkpoint": str(cfg.ckpt), "ckpt": checkpoint.config["ckpt"]}
    results["timing"]["fit_s"] = None
    if cfg.ensemble:
        results |= {"model": f"{results['model']} x{1 + len(cfg.ensemble)}", "ensemble": list(cfg.ensemble)}
    if checkpoint.config["phase"]["name"] == "pretrain" or not building.is_same_data(checkpoint, datamodule):
        results["init"] = "zero_shot"
    else:
        results["init"] = "scratch" if results["ckpt"] is None else "pretrained"
    if trainer.is_global_zero:
        _finish(Path(run.paths.output_dir), results)
    return results


def _finish(folder: Path, results: dict[str, Any]) -> None:
    file = write_results(folder, results)
    for line in score_lines(results):
        log.info(line)
    log.info("results: %s", file)


def _settle(cfg: DictConfig) -> None:
    """Fill in what depends on other choices, and make paths independent of the working directory."""
    with open_dict(cfg):
        cfg.paths.data_dir = str(Path(cfg.paths.data_dir).resolve())
        cfg.paths.cache_dir = str(Path(cfg.paths.cache_dir).resolve())
        if cfg.resume is not None:
            cfg.resume = find_checkpoint(cfg.resume, cfg.paths.output_dir)
        if cfg.resume is not None and cfg.ckpt is None:  # the run goes on as what it is
            cfg.ckpt = read_checkpoint(cfg.resume, "resume").config["ckpt"]
        if cfg.phase.name == "finetune":
            cfg.finetune.parts = cfg.finetune.from_ckpt if cfg.ckpt is not None else cfg.finetune.from_scratch
        # Kept in the checkpoint: an evaluation is of the same experiment.
        cfg.command = {**command(), "ckpt_origin": None}


def _results(
    cfg: DictConfig,
    trainer: L.Trainer,
    module: L.LightningModule,
    datamodule: DomainDataModule,
    clock: RunClock,
    validation: dict[str, float],
) -> dict[str, Any]:
    peak = peak_rss_mb()  # the model's: the baselines come after it
    refreshes = [c.seconds for c in trainer.callbacks if isinstance(c, InterestRefresh)]  # type: ignore[attr-defined]
    return {
        "phase": cfg.phase.name,
        "data": cfg.data.name,
        "setting": cfg.setting.name,
        "model": cfg.model["_target_"].rpartition(".")[2],
        "seed": cfg.seed,
        "init": "scratch" if cfg.ckpt is None else "pretrained",
        "ckpt": cfg.ckpt,
        "protocol": {"mask_history": cfg.metrics.mask_history, "compat": cfg.metrics.compat},
        "modalities": datamodule.catalogue.modalities,
        "interest": {
            "method": cfg.interest.method["_target_"].rpartition(".")[2],
            "num_prototypes": cfg.interest.num_prototypes,
        },
        **(resolved(cfg.command) if "command" in cfg else {}),
        "metrics": validation | _scalars(trainer.callback_metrics, "test/"),
        "metrics_history_excluded": {
            name.replace(_HISTORY_EXCLUDED, "test/"): value
            for name, value in _scalars(trainer.callback_metrics, _HISTORY_EXCLUDED).items()
        },
        **(baseline_entries(cfg, datamodule) if trainer.is_global_zero and cfg.test else {"baselines": {}}),
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


def _best_checkpoint(trainer: L.Trainer, *, required: bool) -> str:
    best = getattr(trainer.checkpoint_callback, "best_model_path", "")
    if required and not best:
        raise ConfigError(
            "test=true: the run kept no checkpoint to test, for its validation never ran or "
            "callbacks.model_checkpoint is off; set test=false."
        )
    return str(best)


def _best_validation(trainer: L.Trainer) -> dict[str, float]:
    """Validation scores of the epoch whose checkpoint is tested, instead of the last epoch's."""
    kept = [callback.best for callback in trainer.callbacks if isinstance(callback, EpochLines)]  # type: ignore[attr-defined]
    return dict(kept[0]) if kept else {}


def _scalars(metrics: Any, prefix: str) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if name.startswith(prefix)}


def _relative(path: str, folder: str) -> str:
    """The path as seen from the folder; as it is where it lies elsewhere."""
    place, run = Path(path).absolute(), Path(folder).absolute()
    return str(place.relative_to(run) if place.is_relative_to(run) else place)


def _finish_loggers() -> None:
    """End this run's W&B run, so that the next job of a sweep starts its own."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()
