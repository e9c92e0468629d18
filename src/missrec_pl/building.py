"""From config nodes to objects: data module, network, Lightning module, trainer."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from missrec_pl.callbacks import RunClock, RunRecord
from missrec_pl.checkpoints import Checkpoint
from missrec_pl.clustering import resolve_count
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError
from missrec_pl.modules.base import SequenceRecommender
from missrec_pl.modules.transfer import transfer_weights
from missrec_pl.nn import SequenceModel

log = logging.getLogger(__name__)


def build_datamodule(cfg: DictConfig) -> DomainDataModule:
    """The data module, prepared and set up: its catalogue decides the sizes of the network."""
    sources = instantiate(cfg.data.source)
    datamodule = DomainDataModule(
        sources if isinstance(sources, list) else [sources],
        modalities=cfg.data.modalities,
        candidates=cfg.data.candidates,
        batch_size=cfg.data.batch_size,
        eval_batch_size=cfg.data.eval_batch_size,
        max_history=cfg.data.max_history,
        split=cfg.data.split,
        domain_sampling=cfg.data.domain_sampling,
        domain_temperature=cfg.data.domain_temperature,
        residency=cfg.features.residency,
        dtype=cfg.features.dtype,
        max_validation_users=cfg.data.max_validation_users,
        num_workers=cfg.data.num_workers,
        seed=cfg.seed,
    )
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def build_model(cfg: DictConfig, datamodule: DomainDataModule) -> SequenceModel:
    """The network for the catalogue of the data module."""
    catalogue = datamodule.catalogue
    model: SequenceModel = instantiate(
        cfg.model,
        feature_dims=catalogue.feature_dims,
        num_items=catalogue.num_items,
        num_prototypes=resolve_count(cfg.interest.num_prototypes, catalogue.num_tokens),
        transductive=cfg.setting.name == "transductive",
    )
    return model


def load_weights(
    cfg: DictConfig, checkpoint: Checkpoint, model: SequenceModel, datamodule: DomainDataModule
) -> None:
    """Start the network from a checkpoint's weights and log what was loaded, what is new and what was left.

    Raises:
        CheckpointError: the checkpoint is of another model or of other sizes.
    """
    theirs, ours = checkpoint.config["model"]["_target_"], cfg.model["_target_"]
    if theirs != ours:
        raise CheckpointError(
            f"ckpt={cfg.ckpt} holds a {theirs.rpartition('.')[2]}, but the config builds a "
            f"{ours.rpartition('.')[2]}: choose the model that the checkpoint was trained with."
        )
    same_items = checkpoint.data == fingerprints(datamodule)
    report = transfer_weights(model, checkpoint.weights, same_items=same_items)
    for line in report.lines():
        log.info(line)


def build_module(cfg: DictConfig, model: SequenceModel) -> SequenceRecommender:
    """The phase's Lightning module."""
    module: SequenceRecommender = instantiate(
        cfg.phase.module,
        model=model,
        objective=instantiate(cfg.objective),
        optimizer=instantiate(cfg.optim.optimizer),
        score_term_lr=cfg.optim.score_term_lr,
        ks=tuple(cfg.metrics.ks),
        mask_history=cfg.metrics.mask_history,
        compat_metrics=cfg.metrics.compat,
    )
    return module


def build_trainer(cfg: DictConfig, datamodule: DomainDataModule) -> tuple[L.Trainer, RunClock]:
    """The trainer with the config's callbacks and loggers, and the clock among the callbacks."""
    clock = RunClock()
    record = RunRecord(OmegaConf.to_container(cfg, resolve=False), fingerprints(datamodule))  # type: ignore[arg-type]
    chosen = [instantiate(callback) for callback in cfg.callbacks.values() if callback is not None]
    loggers: list[Logger] = [instantiate(logger) for logger in (cfg.logger or {}).values()]
    for logger in loggers:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    # Our samplers shard and our metrics sum exactly; Lightning's distributed sampler would repeat rows.
    trainer: L.Trainer = instantiate(
        cfg.trainer,
        callbacks=[clock, record, *chosen],
        logger=loggers or False,
        use_distributed_sampler=False,
    )
    return trainer, clock


def fingerprints(datamodule: DomainDataModule) -> dict[str, str]:
    """Name and content fingerprint of each domain."""
    return {domain.name: domain.fingerprint() for domain in datamodule.catalogue.domains}


def count_parameters(model: SequenceModel) -> dict[str, Any]:
    """Numbers of parameters, for results.json."""
    return {
        "num_params": sum(p.numel() for p in model.parameters()),
        "num_trainable_params": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
