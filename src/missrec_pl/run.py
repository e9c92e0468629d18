"""Composition root: config -> objects -> fit and test -> results.json. The only place that knows all parts."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import lightning as L
from omegaconf import DictConfig, OmegaConf, open_dict

from missrec_pl import building
from missrec_pl.callbacks import EpochLines, InterestRefresh, RunClock
from missrec_pl.checkpoints import read_checkpoint
from missrec_pl.comparison import baseline_entries, check_baselines, run_baselines
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.failures import explained
from missrec_pl.modules.base import SequenceRecommender
from missrec_pl.preflight import preflight
from missrec_pl.results import command, peak_rss_mb, score_lines, versions, write_results
from missrec_pl.resuming import find_checkpoint
from missrec_pl.sweep_jobs import needs_own_command, run_as_own_command

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> dict[str, Any]:
    """Run a phase: fit, test the best checkpoint, write ``results.json``.

    Args:
        cfg: the composed config (``configs/train.yaml``).

    Returns:
        The results, as written.

    Raises:
        ConfigError: the config cannot work; nothing was built.
        DataError: the data is missing or damaged.
        CheckpointError: ``ckpt`` does not fit.
    """
    preflight(cfg)
    if needs_own_command(cfg):
        return run_as_own_command(cfg.paths.output_dir)
    _settle(cfg)
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
    elif cfg.ckpt is not None:
        building.load_weights(cfg, read_checkpoint(cfg.ckpt), model, datamodule)
    module = building.build_module(cfg, model)
    trainer, clock = building.build_trainer(cfg, datamodule, resumed)
    try:
        with explained(trainer, cfg.paths.output_dir, cfg.data.batch_size):
            trainer.fit(module, datamodule=datamodule, ckpt_path=cfg.resume, weights_only=True)
        metrics = _best_validation(trainer) or _scalars(trainer.callback_metrics, "val/")
        checkpoint = _best_checkpoint(trainer, required=cfg.test)
        if cfg.test:
            trainer.test(module, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False)
            metrics |= _scalars(trainer.callback_metrics, "test/")
        results = _results(cfg, trainer, module, datamodule, clock, metrics)
        results["checkpoint"] = _relative(checkpoint, cfg.paths.output_dir) if checkpoint else None
        if trainer.is_global_zero:
            _finish(Path(cfg.paths.output_dir), results)
    finally:
        _finish_loggers()
    return results


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Test a checkpoint on the data it was trained on, or zero-shot on other data.

    Args:
        cfg: the composed config (``configs/eval.yaml``).

    Returns:
        The results, as written to the run folder.

    Raises:
        CheckpointError: ``ckpt`` cannot be read or does not fit.
        DataError: the data is missing or damaged.
    """
    checkpoint = read_checkpoint(cfg.ckpt)
    run = _stored_run(checkpoint.config, cfg)
    preflight(run)
    L.seed_everything(run.seed, workers=True, verbose=False)
    datamodule = building.build_datamodule(run)
    model = building.build_model(run, datamodule)
    for line in building.describe(run, datamodule, model):
        log.info(line)
    report = building.load_weights(run, checkpoint, model, datamodule)
    if untrained := [name for name in report.new if not name.startswith("interests.")]:
        reasons = "; ".join(f"{name} ({report.new[name]})" for name in untrained)
        raise CheckpointError(
            f"ckpt={cfg.ckpt} was not trained for this data: {reasons} would be random. Fine-tune it "
            "first, or evaluate an inductive checkpoint on the modalities that it knows "
            f"({', '.join(_modalities(checkpoint.weights))})."
        )
    module = building.build_module(run, model)
    trainer, clock = building.build_trainer(run, datamodule)
    trainer.test(module, datamodule=datamodule, verbose=False)
    metrics = _scalars(trainer.callback_metrics, "test/")
    results = _results(run, trainer, module, datamodule, clock, metrics)
    results |= {"phase": "eval", "checkpoint": str(cfg.ckpt), "ckpt": checkpoint.config["ckpt"]}
    results["timing"]["fit_s"] = None
    if checkpoint.config["phase"]["name"] == "pretrain" or checkpoint.data != results["data_fingerprints"]:
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
        cfg.command = command()  # kept in the checkpoint: an evaluation is of the same experiment


def _stored_run(stored: dict[str, Any], cfg: DictConfig) -> DictConfig:
    """The config of the checkpoint's run with what the evaluation says on top of it."""
    run: DictConfig = OmegaConf.create(stored)
    given = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(given, dict)
    run.ckpt, run.resume, run.test = given["ckpt"], None, True
    run.trainer, run.compile = given["trainer"], False  # one pass would not earn the compilation back
    run.paths.output_dir = given["paths"].pop("output_dir")
    for name, value in given["paths"].items():
        if value is not None:
            run.paths[name] = str(Path(value).resolve())
    for name, value in given["metrics"].items():
        if value is not None:
            run.metrics[name] = value
    if given.get("data") is not None:
        # What other data means by its domains is said for the phase that this data is used in now.
        there = OmegaConf.create({"data": given["data"], "phase": given["phase"], "paths": run.paths})
        # The longest history belongs to the network: it has so many position embeddings.
        kept = {"max_history": run.data.max_history}
        run.data = {**OmegaConf.to_container(run.data), **_resolved(there.data), **kept}  # type: ignore[dict-item]
    run.callbacks = {"interest_refresh": run.callbacks.interest_refresh}
    run.logger = None
    return run


def _resolved(node: DictConfig) -> dict[str, Any]:
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}


def _modalities(weights: dict[str, Any]) -> list[str]:
    return sorted({name.split(".")[2] for name in weights if name.startswith("adapters.linear.")})


def _results(
    cfg: DictConfig,
    trainer: L.Trainer,
    module: SequenceRecommender,
    datamodule: DomainDataModule,
    clock: RunClock,
    metrics: dict[str, float],
) -> dict[str, Any]:
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
        **(_resolved(cfg.command) if "command" in cfg else {}),
        "metrics": metrics,
        **(baseline_entries(cfg, datamodule) if trainer.is_global_zero and cfg.test else {"baselines": {}}),
        "timing": {
            "fit_s": clock.fit_seconds,
            "fit_cpu_s": clock.fit_cpu_seconds,
            "epoch_s": clock.epoch_seconds,
            "interest_refresh_s": [seconds for refresh in refreshes for seconds in refresh],
            "test_s": clock.test_seconds,
        },
        "peak_rss_mb": peak_rss_mb(),
        **building.count_parameters(module.model),
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
    try:
        return str(Path(path).resolve().relative_to(Path(folder).resolve()))
    except ValueError as error:
        raise CheckpointError(f"checkpoint {path} lies outside of the run folder {folder}.") from error


def _finish_loggers() -> None:
    """End this run's W&B run, so that the next job of a sweep starts its own."""
    if "wandb" in sys.modules:
        sys.modules["wandb"].finish()
