"""A run of a phase: fit, test the best checkpoint, write results.json."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from missrec_pl.callbacks import EpochLines
from missrec_pl.checkpoints.files import find_checkpoint
from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.config.run_folder import refuse_taken_folder, run_folder
from missrec_pl.config.stored_values import StoredValues, escaped
from missrec_pl.config.trainer_options import settled_trainer
from missrec_pl.config.validation import validate_config
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment import building
from missrec_pl.experiment.comparison import check_baselines, run_baselines
from missrec_pl.experiment.failures import explained, told
from missrec_pl.experiment.jobs import needs_own_command, run_as_own_command
from missrec_pl.experiment.keops_start import settle_keops
from missrec_pl.experiment.results import command, source_commit
from missrec_pl.experiment.resuming import bring_fitted, check_resume
from missrec_pl.experiment.run_results import finish, run_results, scalars
from missrec_pl.experiment.starting import load_weights
from missrec_pl.experiment.stored_runs import origin, tested_as, warn_of_changes
from missrec_pl.experiment.tracking.facts import run_facts
from missrec_pl.experiment.tracking.remote import settle_ckpt
from missrec_pl.experiment.tracking.telling import followed
from missrec_pl.experiment.trainer import build_trainer, lightning_options, recommend
from missrec_pl.modules import TrainingModule
from missrec_pl.system.one_writer import one_writer

log = logging.getLogger(__name__)


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
        RunError: the machine has no room for it.
    """
    validate_config(cfg)
    settle_keops(cfg, may_restart=False)  # a job of a sweep shares its program with others
    for line in settled_trainer(cfg):
        log.info(line)
    folder = run_folder(cfg)
    if HydraConfig.initialized():  # else nobody knows which command this is
        refuse_taken_folder(folder, HydraConfig.get().overrides.task, cfg.resume)
    if needs_own_command(cfg):
        return run_as_own_command(cfg.paths.output_dir)
    with told(cfg.paths.output_dir), one_writer(folder):
        settle_ckpt(cfg)
        return _run(cfg)


def _run(cfg: DictConfig) -> dict[str, Any]:
    _settle(cfg)
    source_commit()  # before anybody commits something else
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    if cfg.phase.name == "baselines":
        return run_baselines(cfg)
    datamodule = building.build_datamodule(cfg)
    check_baselines(cfg, datamodule)
    module = building.build_module(cfg, datamodule)
    for line in building.describe(cfg, datamodule, module):
        log.info(line)
    resumed, tested = None, {}
    if cfg.resume is not None:
        resumed = read_checkpoint(cfg.resume, "resume")
        if (results := check_resume(cfg, resumed, module, datamodule)) is not None:
            return results  # nothing is left to train
        bring_fitted(resumed, module)
        before = StoredValues(resumed.config, f"resume={cfg.resume}")
        cfg.command.ckpt_origin = before.words("command", "ckpt_origin")
    elif cfg.ckpt is not None:
        tested = _start_from_weights(cfg, module, datamodule)
    trainer, clock = build_trainer(cfg, datamodule, run_facts(cfg, datamodule, module), resumed)
    with (
        followed(trainer.loggers),
        explained(trainer, cfg.paths.output_dir, cfg.data.batch_size),
        lightning_options(trainer),
    ):
        validation, checkpoint = _fit(cfg, trainer, module, datamodule) if cfg.train else ({}, "")
        where: dict[str, Any] = {"ckpt_path": checkpoint, "weights_only": True} if checkpoint else {}
        if cfg.test:
            if cfg.train and not checkpoint:
                log.warning("the run kept no checkpoint: the weights at its end are tested")
            trainer.test(module, datamodule=datamodule, verbose=False, **where)
        results = run_results(cfg, trainer, module, datamodule, clock, validation)
        kept = _relative(checkpoint, cfg.paths.output_dir) if checkpoint else None
        results |= {"checkpoint": kept if cfg.train else cfg.ckpt, "trained": bool(cfg.train), **tested}
        if trainer.is_global_zero:
            finish(cfg, trainer, module, datamodule, results)
        recommend(cfg, trainer, module, datamodule, **where)
    return results


def _start_from_weights(cfg: DictConfig, module: TrainingModule, datamodule: DomainDataModule) -> dict[str, Any]:
    """Load ``ckpt``; what results.json says of it where nothing trains."""
    start = read_checkpoint(cfg.ckpt)
    load_weights(cfg, start, module, datamodule, is_tested=not cfg.train)
    cfg.command.ckpt_origin = origin(start)
    if cfg.train:
        return {}
    warn_of_changes(start, datamodule)
    return tested_as(start, datamodule, f"ckpt={cfg.ckpt}")


def _fit(
    cfg: DictConfig, trainer: L.Trainer, module: TrainingModule, datamodule: DomainDataModule
) -> tuple[dict[str, float], str]:
    """Train; the validation scores and the path of the best checkpoint, "" where none is kept."""
    trainer.fit(module, datamodule=datamodule, ckpt_path=cfg.resume, weights_only=True)
    validation = _best_validation(trainer) or scalars(trainer.callback_metrics, "val/")
    return validation, str(getattr(trainer.checkpoint_callback, "best_model_path", ""))


def _settle(cfg: DictConfig) -> None:
    """Fill in what depends on other choices, and make paths independent of the working directory."""
    with open_dict(cfg):
        cfg.paths.data_dir = str(Path(cfg.paths.data_dir).resolve())
        cfg.paths.cache_dir = str(Path(cfg.paths.cache_dir).resolve())
        if cfg.resume is not None:
            cfg.resume = find_checkpoint(cfg.resume, cfg.paths.output_dir)
        start = cfg.ckpt
        if cfg.resume is not None and start is None:  # the run goes on as what it is
            before = read_checkpoint(cfg.resume, "resume").config
            start = StoredValues(before, f"resume={cfg.resume}").stated("ckpt")
        cfg.ckpt = None if start is None else escaped(str(start))
        if cfg.phase.name == "finetune":
            cfg.finetune.parts = cfg.finetune.from_ckpt if cfg.ckpt is not None else cfg.finetune.from_scratch
        # Kept in the checkpoint: an evaluation is of the same experiment.
        said = command()
        # As it was typed: what a reference leads to, such as a variable of the environment, is nobody's business.
        cfg.command = {**said, "overrides": [escaped(word) for word in said["overrides"]], "ckpt_origin": None}


def _best_validation(trainer: L.Trainer) -> dict[str, float]:
    """Validation scores of the epoch whose checkpoint is tested, instead of the last epoch's."""
    kept = [callback.best for callback in trainer.callbacks if isinstance(callback, EpochLines)]  # type: ignore[attr-defined]
    return dict(kept[0]) if kept else {}


def _relative(path: str, folder: str) -> str:
    """The path as seen from the folder; as it is where it lies elsewhere."""
    place, run = Path(path).absolute(), Path(folder).absolute()
    return str(place.relative_to(run) if place.is_relative_to(run) else place)
