"""The evaluation of a checkpoint, or of several that rank together."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L
from omegaconf import DictConfig

from missrec_pl.callbacks import RunClock
from missrec_pl.checkpoints.reading import Checkpoint, read_checkpoint
from missrec_pl.config.run_folder import refuse_trained_folder, run_folder
from missrec_pl.config.validation import validate_config
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment import building
from missrec_pl.experiment.failures import told
from missrec_pl.experiment.jobs import needs_own_command, run_as_own_command
from missrec_pl.experiment.keops_start import settle_keops
from missrec_pl.experiment.results import source_commit
from missrec_pl.experiment.run_results import finish, run_results
from missrec_pl.experiment.stored_runs import (
    check_trained_on,
    complete_config,
    load_members,
    load_module,
    stored_run,
    tested_as,
    warn_of_changes,
)
from missrec_pl.experiment.tracking.facts import run_facts
from missrec_pl.experiment.tracking.remote import settle_ckpt
from missrec_pl.experiment.tracking.telling import followed
from missrec_pl.experiment.trainer import build_trainer, recommend
from missrec_pl.modules import TrainingModule
from missrec_pl.modules.ranking import Ensemble, RankingModule
from missrec_pl.system.one_writer import one_writer

log = logging.getLogger(__name__)


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
        RunError: the machine has no room for it.
    """
    folder = run_folder(cfg)
    refuse_trained_folder(folder)
    if needs_own_command(cfg):
        return run_as_own_command(cfg.paths.output_dir)
    with told(cfg.paths.output_dir), one_writer(folder):
        return _run(cfg)


def _run(cfg: DictConfig) -> dict[str, Any]:
    source_commit()  # before anybody commits something else
    settle_ckpt(cfg)
    checkpoint = read_checkpoint(cfg.ckpt)
    with complete_config(f"ckpt={cfg.ckpt}"):
        run = stored_run(checkpoint.config, cfg, f"ckpt={cfg.ckpt}")
        validate_config(run)
        settle_keops(run)
        L.seed_everything(run.seed, workers=True, verbose=False)
        datamodule = building.build_datamodule(run)
        first = load_module(run, checkpoint, datamodule)
    warn_of_changes(checkpoint, datamodule)
    module: RankingModule = first
    if cfg.ensemble:
        check_trained_on(datamodule, checkpoint, f"ckpt={cfg.ckpt}")
        module = Ensemble([first, *load_members(cfg, run, datamodule)])
    trainer, clock = build_trainer(run, datamodule, run_facts(run, datamodule, module, is_eval=True))
    with followed(trainer.loggers):
        return _tested(cfg, run, trainer, clock, checkpoint, first, module, datamodule)


def _tested(
    cfg: DictConfig,
    run: DictConfig,
    trainer: L.Trainer,
    clock: RunClock,
    checkpoint: Checkpoint,
    first: TrainingModule,
    module: RankingModule,
    datamodule: DomainDataModule,
) -> dict[str, Any]:
    trainer.test(module, datamodule=datamodule, verbose=False)
    results = run_results(run, trainer, first, datamodule, clock, {})
    results |= {"phase": "eval", "checkpoint": str(cfg.ckpt)}
    results |= tested_as(checkpoint, datamodule, f"ckpt={cfg.ckpt}")
    results["timing"]["fit_s"] = None
    if cfg.ensemble:
        results |= building.count_parameters(module)
        results |= {"model": f"{results['model']} x{1 + len(cfg.ensemble)}", "ensemble": list(cfg.ensemble)}
    if trainer.is_global_zero:
        finish(run, trainer, module, datamodule, results)
    recommend(run, trainer, module, datamodule)
    return results
