"""From config nodes to objects: data module, network, Lightning module, trainer."""

from __future__ import annotations

import logging
from typing import Any

import lightning as L
from hydra.utils import instantiate
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf
from torch import nn

from missrec_pl.callbacks import ComputeLine, EpochMeans, NanGuard, RanksFile, RunClock, RunRecord, StepSeed
from missrec_pl.callbacks.checkpoint_io import AtomicCheckpointIO
from missrec_pl.checkpoints.reading import Checkpoint as RunCheckpoint
from missrec_pl.checkpoints.transfer import TransferReport, modalities_of, transfer_weights
from missrec_pl.clustering import resolve_count
from missrec_pl.config.resolvers import register_resolvers
from missrec_pl.data.domain.encoders import encoders_of, other_encoders
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.experiment.attach import attach_evidence
from missrec_pl.loggers import Continuable
from missrec_pl.modules.base import SequenceRecommender
from missrec_pl.nn import SequenceModel
from missrec_pl.system.compilation import compile_blocks, with_fused_kernel
from missrec_pl.system.precision import set_matmul_precision

log = logging.getLogger(__name__)
register_resolvers()

_SHAPELESS = ("model.num_heads", "model.sequence_fusion", "model.positions_from", "features.whitening")
"""Options that decide what weights mean and that no weight's shape tells."""

_DATA = (
    *("batch_size", "split", "max_history", "modalities", "overfit_rows"),
    *("candidates", "num_negatives", "domain_sampling", "domain_temperature", "user_folds"),
)
_TRAINER = ("precision", "accumulate_grad_batches", "limit_train_batches", "gradient_clip_val")
"""Options of data and trainer, beside whole groups, that decide about the outcome of training."""


def build_datamodule(cfg: DictConfig, *, for_training: bool = True) -> DomainDataModule:
    """The data module, prepared and set up: its catalogue decides the sizes of the network.

    Args:
        cfg: the config.
        for_training: whether training batches are wanted; what only they need is left out else.
    """
    sources = instantiate(cfg.data.source)
    datamodule = DomainDataModule(
        sources if isinstance(sources, list) else [sources],
        modalities=cfg.data.modalities,
        candidates=cfg.data.candidates,
        num_negatives=cfg.data.num_negatives,
        batch_size=cfg.data.batch_size,
        eval_batch_size=cfg.data.eval_batch_size,
        max_history=cfg.data.max_history,
        split=cfg.data.split,
        domain_sampling=cfg.data.domain_sampling,
        domain_temperature=cfg.data.domain_temperature,
        user_folds=cfg.data.user_folds if for_training and cfg.model.get("collaborative") else None,
        residency=cfg.features.residency,
        dtype=cfg.features.dtype,
        whitening=cfg.features.whitening,
        max_validation_users=cfg.data.max_validation_users,
        overfit_rows=cfg.data.overfit_rows,
        num_workers=cfg.data.num_workers,
        prefetch_factor=cfg.data.prefetch_factor,
        seed=cfg.seed,
    )
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def build_model(cfg: DictConfig, datamodule: DomainDataModule) -> SequenceModel:
    """The network for the catalogue of the data module."""
    catalogue = datamodule.catalogue
    # The released code counts, and clusters, missing modalities as well.
    is_compat = cfg.model.get("compat", False)
    num_tokens = catalogue.num_items * len(catalogue.modalities) if is_compat else catalogue.num_tokens
    try:
        num_prototypes = resolve_count(cfg.interest.num_prototypes, num_tokens)
    except ConfigError as error:
        raise ConfigError(f"interest.num_prototypes={cfg.interest.num_prototypes}: {error}.") from error
    model: SequenceModel = instantiate(
        cfg.model,
        feature_dims=catalogue.feature_dims,
        num_items=catalogue.num_items,
        num_prototypes=num_prototypes,
        transductive=cfg.setting.name == "transductive",
    )
    attach_evidence(model, datamodule)
    return model


def load_weights(
    cfg: DictConfig, checkpoint: RunCheckpoint, model: SequenceModel, datamodule: DomainDataModule
) -> TransferReport:
    """Start the network from a checkpoint's weights and log what was loaded, what is new and what was left.

    Raises:
        CheckpointError: the checkpoint is of another model or of other sizes.
    """
    _check_architecture(cfg, checkpoint, f"ckpt={cfg.ckpt}")
    same_items = is_same_data(checkpoint, datamodule)
    others = other_encoders(checkpoint.encoders, encoders(datamodule))
    try:
        report = transfer_weights(model, checkpoint.weights, same_items=same_items, other_encoders=others)
    except CheckpointError as error:
        raise CheckpointError(f"ckpt={cfg.ckpt}: {error}") from error
    for line in report.lines():
        log.info(line)
    return report


def check_resume(
    cfg: DictConfig, checkpoint: RunCheckpoint, model: SequenceModel, datamodule: DomainDataModule
) -> None:
    """Refuse to continue a run as another one, and say which values changed.

    Raises:
        CheckpointError: other phase, model, data or sizes than the checkpoint's, or no epochs left to train.
    """
    flag = f"resume={cfg.resume}"
    _check_architecture(cfg, checkpoint, flag)
    theirs, ours = OmegaConf.create(checkpoint.config), cfg
    for name in ("phase.name", "setting.name"):
        before, now = OmegaConf.select(theirs, name), OmegaConf.select(ours, name)
        if before != now:
            raise CheckpointError(
                f"{flag} is of a run with {name.removesuffix('.name')}={before}, this one has {now}: repeat the "
                "command of that run, or start a new one with ckpt."
            )
    if not is_same_data(checkpoint, datamodule):
        names = ", ".join(domain.name for domain in datamodule.catalogue.domains)
        raise CheckpointError(
            f"{flag} is of a run on {', '.join(checkpoint.data)}, this one reads {names} (or their content "
            "changed): repeat the command of that run, or start a new one with ckpt."
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    differing = [n for n, tensor in checkpoint.weights.items() if shapes.pop(n, None) != tuple(tensor.shape)]
    if differing := differing + list(shapes):
        raise CheckpointError(
            f"{flag} has other sizes than this run: {len(differing)} tensors differ, e.g. {differing[0]}; repeat "
            "the command of that run."
        )
    before, now = (modalities_of(weights) for weights in (checkpoint.weights, model.state_dict()))
    if before != now:
        raise CheckpointError(
            f"{flag} is of a run with data.modalities=[{','.join(before)}], this one has [{','.join(now)}]: "
            "repeat the command of that run."
        )
    limit = cfg.trainer.max_epochs
    if limit is not None and 0 <= limit < checkpoint.epochs:
        raise CheckpointError(
            f"{flag} has trained for {checkpoint.epochs} epochs already and trainer.max_epochs={limit}: raise it."
        )
    for name in _changed(theirs, ours):
        before, now = OmegaConf.select(theirs, name), OmegaConf.select(ours, name)
        log.warning("resume: %s was %s and is now %s", name, before, now)


def _check_architecture(cfg: DictConfig, checkpoint: RunCheckpoint, flag: str) -> None:
    theirs, ours = checkpoint.config["model"]["_target_"], cfg.model["_target_"]
    if theirs != ours:
        raise CheckpointError(
            f"{flag} holds a {theirs.rpartition('.')[2]}, but the config builds a "
            f"{ours.rpartition('.')[2]}: choose the model that the checkpoint was trained with."
        )
    stored = OmegaConf.create(checkpoint.config)
    for name in _SHAPELESS:
        before, now = (OmegaConf.select(config, name) for config in (stored, cfg))
        if name == "features.whitening" and before is None:
            before = 0.0  # as before there was a choice
        if before is not None and before != now:
            raise CheckpointError(
                f"{flag} was trained with {name}={before}, this run has {now}, and the weights would fit all the "
                f"same: say {name}={before}."
            )


def _changed(theirs: DictConfig, ours: DictConfig) -> list[str]:
    """Flags that decide about the outcome of training and differ."""
    names = ["seed", *(f"data.{name}" for name in _DATA), *(f"trainer.{name}" for name in _TRAINER)]
    if OmegaConf.select(ours, "callbacks.learning_rate"):
        names += ["trainer.max_epochs", "callbacks.learning_rate.warmup"]
    for group in ("model", "objective", "interest", "optim", "finetune", "phase.module"):
        keys = {*(OmegaConf.select(theirs, group) or ()), *(OmegaConf.select(ours, group) or ())}
        names += [f"{group}.{key}" for key in sorted(map(str, keys))]
    return [name for name in names if OmegaConf.select(theirs, name) != OmegaConf.select(ours, name)]


def build_module(cfg: DictConfig, model: SequenceModel) -> SequenceRecommender:
    """The phase's Lightning module, and what torch is to do for its speed."""
    set_matmul_precision(cfg.matmul_precision)
    if cfg.compile:
        compile_blocks(model)
    module: SequenceRecommender = instantiate(
        cfg.phase.module,
        model=model,
        objective=instantiate(cfg.objective),
        optimizer=with_fused_kernel(instantiate(cfg.optim.optimizer), cfg.optim.fused),
        score_term_lr=cfg.optim.score_term_lr,
        ks=tuple(cfg.metrics.ks),
        mask_history=cfg.metrics.mask_history,
        compat_metrics=cfg.metrics.compat,
    )
    return module


def build_trainer(
    cfg: DictConfig, datamodule: DomainDataModule, resumed: RunCheckpoint | None = None
) -> tuple[L.Trainer, RunClock]:
    """The trainer with the config's callbacks and loggers, and the clock among the callbacks.

    Args:
        cfg: the config.
        datamodule: the data.
        resumed: what the run is continued from: the loggers go on there.
    """
    clock = RunClock()
    stored = OmegaConf.to_container(cfg, resolve=False)
    record = RunRecord(stored, fingerprints(datamodule), encoders(datamodule))  # type: ignore[arg-type]
    chosen = [instantiate(callback) for callback in cfg.callbacks.values() if callback is not None]
    loggers: list[Logger] = [instantiate(logger) for logger in (cfg.logger or {}).values()]
    for logger in loggers:
        if resumed is not None and isinstance(logger, Continuable):
            logger.continue_from(resumed.logged_steps)
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))  # type: ignore[arg-type]
    seed, folder = StepSeed(cfg.seed), cfg.paths.output_dir
    # What the config does not ask for is off, where Lightning would add its own.
    # Our samplers shard and our metrics sum exactly; Lightning's distributed sampler would repeat rows.
    trainer: L.Trainer = instantiate(
        cfg.trainer,
        callbacks=[
            clock,
            record,
            EpochMeans(),
            seed,
            ComputeLine(),
            NanGuard(folder),
            RanksFile(folder),
            *chosen,
        ],
        logger=loggers or False,
        plugins=[AtomicCheckpointIO(), *instantiate(cfg.trainer.get("plugins") or [])],
        use_distributed_sampler=False,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in chosen),
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in chosen),
    )
    return trainer, clock


def describe_data(datamodule: DomainDataModule) -> list[str]:
    """The data of a run, a line per domain for the log."""
    lines = []
    for domain in datamodule.catalogue.domains:
        coverage = ", ".join(
            f"{name} of {domain.modalities[name].coverage:.0%}"
            for name in datamodule.catalogue.modalities
            if name in domain.modalities
        )
        lines.append(f"data: {domain.name}, {domain.num_users:,} users, {domain.num_items:,} items, {coverage}")
    return lines


def describe(cfg: DictConfig, datamodule: DomainDataModule, model: SequenceModel) -> list[str]:
    """The data and the network of a run, in a few lines for the log."""
    name, count = type(model).__name__, count_parameters(model)["num_params"]
    prototypes = model.interests.num_prototypes
    line = f"model: {name}, {cfg.setting.name}, {count:,} parameters, {prototypes:,} prototypes"
    return [*describe_data(datamodule), line]


def fingerprints(datamodule: DomainDataModule) -> dict[str, str]:
    """Name and content fingerprint of each domain."""
    return {domain.name: domain.fingerprint for domain in datamodule.catalogue.domains}


def is_same_data(checkpoint: RunCheckpoint, datamodule: DomainDataModule) -> bool:
    """Whether a checkpoint's run saw the very same domains."""
    domains = datamodule.catalogue.domains
    return checkpoint.data in (
        {domain.name: domain.fingerprint for domain in domains},
        {domain.name: domain.file_fingerprint() for domain in domains},
    )


def encoders(datamodule: DomainDataModule) -> dict[str, list[str]]:
    """Per modality the encoders of the features of all domains."""
    return encoders_of(domain.manifest for domain in datamodule.catalogue.domains)


def count_parameters(model: nn.Module) -> dict[str, Any]:
    """Numbers of parameters, for results.json."""
    return {
        "num_params": sum(p.numel() for p in model.parameters()),
        "num_trainable_params": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }
