"""From config nodes to objects: data module, network, Lightning module; `trainer` has the trainer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from missrec_pl.checkpoints.reading import Checkpoint as RunCheckpoint
from missrec_pl.config.targets import in_use
from missrec_pl.config.trainer_options import fused_kernel
from missrec_pl.data.domain.manifest import encoders_of
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError, MissrecError
from missrec_pl.losses import Loss
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.contract import DataShape, Recommender
from missrec_pl.nn.scorers import Scorers
from missrec_pl.system.compilation import compile_parts, with_fused_kernel
from missrec_pl.system.precision import set_matmul_precision

log = logging.getLogger(__name__)


def build_datamodule(cfg: DictConfig) -> DomainDataModule:
    """The data module, prepared and set up: its catalogue decides the sizes of the network."""
    datamodule: DomainDataModule = built(cfg.data)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def built(node: DictConfig, **supplied: Any) -> Any:
    """What a node of a config names, whose own mistakes are told as such.

    Raises:
        MissrecError: what is built does not take its values.
    """
    try:
        return instantiate(node, **supplied)
    except InstantiationException as error:
        if isinstance(error.__cause__, MissrecError):
            raise error.__cause__ from error
        raise


def build_network(cfg: DictConfig, shape: DataShape) -> Recommender:
    """The network for data of the given sizes.

    Raises:
        ConfigError: what ``model._target_`` names is no network, or reads what this phase cannot have.
    """
    network = built(cfg.model, data=shape)
    if not isinstance(network, Recommender):
        raise ConfigError(
            f"model._target_={cfg.model['_target_']}: is no missrec_pl.nn.Recommender but a "
            f"{type(network).__name__}; see docs/extending.md."
        )
    if cfg.phase.name == "pretrain" and "ids" in network.reads and not _keeps_items(cfg):
        raise ConfigError(
            f"phase=pretrain: {type(network).__name__} reads item IDs, which mean nothing on other items; "
            "pre-train a network of features (setting=inductive), choose an objective for the same items if the "
            "network has one, or train this one with phase=finetune."
        )
    if cfg.phase.name == "pretrain" and any(part.folds for part in network.fitted_parts()):
        raise ConfigError(
            "phase=pretrain: the network fits a part to one catalogue by folds, which is no use in another; say "
            "data.num_folds=0."
        )
    if network.example == "cloze" and cfg.data.get("example") == "shifted":
        raise ConfigError(
            f"data.example=shifted: {type(network).__name__} sees what comes after a place, its target too; leave "
            "data.example out, or use cloze or prefix."
        )
    if "attributes" in network.reads and not shape.attributes:
        raise ConfigError(f"model={type(network).__name__} reads attributes, and the data has none.")
    return network


def _keeps_items(cfg: DictConfig) -> bool:
    """Whether the loss pre-trains for the very items that it sees."""
    return getattr(get_class(cfg.objective["_target_"]), "same_catalogue", False) is True


def build_scorers(cfg: DictConfig, shape: DataShape) -> Scorers:
    """The auxiliary scorers; in pre-training without those whose statistics belong to one catalogue."""
    chosen = in_use(cfg, "scorers")
    if cfg.phase.name == "pretrain":
        dropped = [
            name for name, node in chosen.items() if getattr(get_class(node["_target_"]), "of_catalogue", False)
        ]
        if dropped:
            log.info("scorers: pre-training leaves out %s, which belong to one catalogue", ", ".join(dropped))
        chosen = {name: node for name, node in chosen.items() if name not in dropped}
    return Scorers({name: built(node, data=shape) for name, node in chosen.items()})


def build_loss(cfg: DictConfig) -> Loss:
    """What training minimises.

    Raises:
        ConfigError: what ``objective._target_`` names is no loss.
    """
    loss = built(cfg.objective)
    if not isinstance(loss, Loss):
        raise ConfigError(
            f"objective._target_={cfg.objective['_target_']}: is no missrec_pl.losses.Loss but a "
            f"{type(loss).__name__}; see docs/extending.md."
        )
    return loss


def build_module(
    cfg: DictConfig, datamodule: DomainDataModule, *, shape: DataShape | None = None, for_training: bool = True
) -> TrainingModule:
    """The Lightning module with network, loss and scorers, and what torch is to do for its speed.

    Args:
        cfg: the config.
        datamodule: the data; it is told what the loss and the network need of it.
        shape: sizes of the data, where they are not the data module's.
        for_training: False builds no optimiser.
    """
    shape = datamodule.shape if shape is None else shape
    network, scorers, loss = build_network(cfg, shape), build_scorers(cfg, shape), build_loss(cfg)
    set_matmul_precision(cfg.matmul_precision)
    if cfg.compile:
        compile_parts(network.compiled_parts(), cfg.compile if isinstance(cfg.compile, str) else None)
    training: dict[str, Any] = {"optimizer": None, "scheduler": None}
    if for_training:
        training["optimizer"] = with_fused_kernel(instantiate(cfg.optim.optimizer), fused_kernel(cfg))
        training["scorer_lr"] = cfg.optim.scorer_lr
        training["scheduler"] = None if cfg.optim.scheduler is None else instantiate(cfg.optim.scheduler)
    module: TrainingModule = instantiate(
        cfg.phase.module,
        model=network,
        loss=loss,
        scorers=scorers,
        data=shape,
        ks=tuple(cfg.metrics.ks),
        mask_history=cfg.metrics.mask_history,
        compat_metrics=cfg.metrics.compat,
        **training,
    )
    datamodule.choose(
        candidates=loss.candidates,
        num_negatives=loss.num_negatives,
        example=network.example,
        with_times="timestamps" in network.reads,
        with_folds=any(part.folds for part in module.fitted_parts),
    )
    return module


def build_parts(cfg: DictConfig, group: str) -> list[Any]:
    """The callbacks or loggers that are not switched off. Mappings arrive as plain ones."""
    return [instantiate(node, _convert_="all") for node in in_use(cfg, group).values()]


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


def describe(cfg: DictConfig, datamodule: DomainDataModule, module: TrainingModule) -> list[str]:
    """The data and the network of a run, in a few lines for the log."""
    name, count = type(module.model).__name__, count_parameters(module)["num_params"]
    parts = [f"{n}: {part.count_in_words}" for n, part in module.model.fitted.items() if part.count_in_words]
    reads, scorers = ", ".join(sorted(module.model.reads)), ", ".join(module.scorers)
    line = f"model: {name}, {cfg.setting.name}, reads {reads}, {count:,} parameters"
    return [*describe_data(datamodule), ", ".join([line, *parts]) + (f", scorers {scorers}" if scorers else "")]


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


def plain(node: Any) -> Any:
    """A node of a config with its interpolations filled in, as plain values."""
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def interests_in_words(cfg: DictConfig, network: Recommender) -> Mapping[str, Any] | None:
    """How the network's interests are found, for results.json; None for a network without."""
    if "interests" not in network.fitted:
        return None
    method = cfg.interest.method["_target_"].rpartition(".")[2]
    return {"method": method, "num_prototypes": cfg.interest.num_prototypes}
