"""Lightning's trainer of a run: its options, callbacks and loggers."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from omegaconf import DictConfig, OmegaConf

from missrec_pl.callbacks import (
    AtomicCheckpointIO,
    ComputeLine,
    ConfiguredOptions,
    Curves,
    Limits,
    ListsOfTest,
    NanGuard,
    RanksFile,
    RecommendationsFile,
    RunClock,
    RunRecord,
    StepSeed,
)
from missrec_pl.checkpoints.reading import Checkpoint as RunCheckpoint
from missrec_pl.config.launched import processes_of_node
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError, MissrecError
from missrec_pl.experiment import building
from missrec_pl.experiment.tracking.telling import build_loggers
from missrec_pl.loggers.facts import RunFacts
from missrec_pl.modules.ranking import RankingModule
from missrec_pl.system.files import RECOMMENDATIONS_NAME
from missrec_pl.system.threads import share_cores

log = logging.getLogger(__name__)

_LIGHTNING = Path(L.__file__).resolve().parent
_NULL_COUNTS_BATCHES = "check_val_every_n_epoch"
# What Lightning says to do, and what does it here.
_VALIDATION_ADVICE = (
    "set `limit_val_batches` to 0.0 instead",
    "say trainer.limit_val_batches=0 callbacks=no_validation",
)


def build_trainer(
    cfg: DictConfig, datamodule: DomainDataModule, facts: RunFacts, resumed: RunCheckpoint | None = None
) -> tuple[L.Trainer, RunClock]:
    """The trainer with the config's callbacks and loggers, and the clock among the callbacks.

    Args:
        cfg: the config.
        datamodule: the data.
        facts: what the loggers are told.
        resumed: what the run is continued from: the loggers go on there.

    Raises:
        ConfigError: Lightning refuses an option.
    """
    clock, folder = RunClock(), cfg.paths.output_dir
    share_cores(processes_of_node(cfg))
    options: dict[str, Any] = OmegaConf.to_container(cfg.trainer, resolve=True)  # type: ignore[assignment]
    # null: Lightning's default; what means something else by null keeps it.
    options = {name: value for name, value in options.items() if value is not None or name == _NULL_COUNTS_BATCHES}
    guard = NanGuard(folder)
    own = [
        *(clock, run_record(cfg, datamodule), StepSeed(cfg.seed), ComputeLine(), guard, Curves(guard)),
        *(RanksFile(folder), RecommendationsFile(folder), ListsOfTest()),
        Limits(max_steps=options.pop("max_steps", -1)),
    ]
    with lightning_options():
        chosen = building.build_parts(cfg, "callbacks")
        loggers = build_loggers(cfg, facts, resumed)
        # What the config does not ask for is off, where Lightning would add its own.
        # Our samplers shard and our metrics sum exactly; Lightning's distributed sampler would repeat rows.
        trainer: L.Trainer = instantiate(
            options,
            _convert_="all",
            callbacks=[*own, *chosen, ConfiguredOptions(chosen)],
            logger=loggers or False,
            plugins=[AtomicCheckpointIO(), *(instantiate(options.pop("plugins", None) or []))],
            use_distributed_sampler=False,
            enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in chosen),
            enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in chosen),
        )
    return trainer, clock


@contextmanager
def lightning_options(trainer: L.Trainer | None = None) -> Iterator[None]:
    """Tell what Lightning says about its options before the first step as the user's mistake, in one line.

    Args:
        trainer: what runs inside; None while it is built.

    Raises:
        ConfigError: an error left Lightning's own code.
    """
    try:
        yield
    except MissrecError:
        raise
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        is_lightnings = bool(frames) and Path(frames[-1].filename).resolve().is_relative_to(_LIGHTNING)
        if not is_lightnings or (trainer is not None and trainer.global_step > 0):
            raise
        said = " ".join(str(error).replace(*_VALIDATION_ADVICE).split())
        raise ConfigError(f"trainer: {said}") from error


def recommend(
    cfg: DictConfig, trainer: L.Trainer, module: RankingModule, datamodule: DomainDataModule, **weights: Any
) -> None:
    """Write ``recommendations.parquet`` for all users, if ``cfg.recommend`` asks for it.

    Args:
        cfg: the config of the training run or of the evaluation.
        trainer, module, datamodule: of the run.
        **weights: what ``trainer.predict`` is told of the checkpoint.
    """
    if cfg.recommend.k is None:
        return
    module.num_recommended, module.recommends_seen = cfg.recommend.k, cfg.recommend.with_seen
    trainer.predict(module, datamodule=datamodule, return_predictions=False, **weights)
    if trainer.is_global_zero:
        log.info("written: %s", Path(cfg.paths.output_dir) / RECOMMENDATIONS_NAME)


def run_record(cfg: DictConfig, datamodule: DomainDataModule) -> RunRecord:
    """What checkpoints say about this run."""
    arguments = OmegaConf.to_container(cfg.model, resolve=True)
    assert isinstance(arguments, dict)
    return RunRecord(
        OmegaConf.to_container(cfg, resolve=False),  # type: ignore[arg-type]
        building.fingerprints(datamodule),
        building.encoders(datamodule),
        {"target": arguments.pop("_target_"), "arguments": arguments},
    )
