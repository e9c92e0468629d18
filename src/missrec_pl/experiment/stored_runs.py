"""Checkpoints as the runs that wrote them: their config, and their networks on the data of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, InterpolationKeyError

from missrec_pl.checkpoints.reading import Checkpoint, read_checkpoint
from missrec_pl.checkpoints.transfer import modalities_of
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.experiment import building
from missrec_pl.modules.base import SequenceRecommender
from missrec_pl.nn import SequenceModel

log = logging.getLogger(__name__)

_ABSENT = object()

# Options that checkpoints of earlier versions do not know, at what these versions did. What an evaluation reads of
# a run's config belongs here from the day that it is an option.
_ADDED_LATER = {
    "matmul_precision": "highest",
    "compile": False,
    "data.num_negatives": 8192,
    "data.prefetch_factor": 2,
    "data.user_folds": 10,
    "features.whitening": 0.0,
    "model.collaborative": 0,
    "model.cooccurrence": "none",
    "model.content": "none",
    "objective.eval_temperature": None,
    "optim.fused": None,
}

# What an evaluation says of its own, and what of the checkpoint's run it may change.
_OWN = ("ckpt", "ensemble", "paths", "data", "trainer", "matmul_precision", "phase.name", "metrics")
_CHANGEABLE = (
    *("features.residency", "features.dtype", "baselines.names", "baselines.max_ease_items"),
    *("objective.eval_temperature", "phase.module.max_logits"),
)

# Of the command that made a checkpoint: where files lie, and what the checkpoint says in other ways.
_OF_ONE_RUN = ("seed=", "ckpt=", "resume=", "phase=", "setting=", "paths.", "hydra.", "hydra/")

# What members of an ensemble read and rank alike.
_SHARED = ("data.modalities", "data.max_history", "data.split")


def stored_run(stored: dict[str, Any], cfg: DictConfig) -> DictConfig:
    """The config of the checkpoint's run with what the evaluation says on top of it.

    Raises:
        ConfigError: the evaluation says something that it does not read.
    """
    run: DictConfig = OmegaConf.create(stored)
    for name, value in _ADDED_LATER.items():
        if OmegaConf.select(run, name, default=_ABSENT) is _ABSENT:
            OmegaConf.update(run, name, value)
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
        run.data = {**OmegaConf.to_container(run.data), **resolved(there.data), **kept}  # type: ignore[dict-item]
    for name, value in _leaves(cast(dict[str, Any], given)):
        if name in _CHANGEABLE:
            OmegaConf.update(run, name, value, force_add=True)
        elif not f"{name}.".startswith(tuple(f"{own}." for own in _OWN)):
            known = ", ".join(_CHANGEABLE)
            raise ConfigError(
                f"{name}={value}: the checkpoint's run decides it; an evaluation may change {known}."
            )
    run.callbacks = {"interest_refresh": run.callbacks.interest_refresh}
    run.logger = None
    return run


def _leaves(node: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Full names and values of a config's leaves."""
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def origin(checkpoint: Checkpoint) -> dict[str, Any]:
    """What made a checkpoint, for the ``results.json`` of a run that starts from it.

    Returns:
        ``phase``, ``data`` (domains), ``setting``, and its command as
        :func:`missrec_pl.experiment.results.command` says it, without the seed and where files lie;
        ``ckpt_origin``: the same of the checkpoint that it was started from itself, or None.
    """
    config = OmegaConf.create(checkpoint.config)
    nothing: dict[str, Any] = {"experiment": None, "experiment_model": None, "overrides": [], "ckpt_origin": None}
    said = nothing | (checkpoint.config.get("command") or {})
    kept = [word for word in said["overrides"] if not word.lstrip("+~").startswith(_OF_ONE_RUN)]
    return {
        "phase": OmegaConf.select(config, "phase.name"),
        "data": "+".join(checkpoint.data),
        "setting": OmegaConf.select(config, "setting.name"),
        **said,
        "overrides": [word.replace("${", "\\${") for word in kept],  # not to be looked up in another config
    }


@contextmanager
def complete_config(flag: str) -> Iterator[None]:
    """Say of an option that is asked for inside, and that the checkpoint's config lacks, whose fault it is.

    Raises:
        CheckpointError: names the option.
    """
    try:
        yield
    except (ConfigAttributeError, ConfigKeyError, InterpolationKeyError) as error:
        name = error.full_key or error.key
        raise CheckpointError(
            f"{flag}: its config lacks {name}, which an evaluation needs: another version wrote it, or it was "
            "changed; evaluate it with the version that trained it, or train again."
        ) from error


def load_network(run: DictConfig, checkpoint: Checkpoint, datamodule: DomainDataModule) -> SequenceModel:
    """The checkpoint's network for the data of the run.

    On other data than it was trained on it reads content alone, without its collaborative vectors.

    Raises:
        CheckpointError: it was trained for other data and has nothing to read this one with.
    """
    if run.model.collaborative and not building.is_same_data(checkpoint, datamodule):
        log.info("other data: model.collaborative=0, for these vectors belong to the items trained on")
        run.model.collaborative = 0
    model = building.build_model(run, datamodule)
    for line in building.describe(run, datamodule, model):
        log.info(line)
    report = building.load_weights(run, checkpoint, model, datamodule)
    if untrained := [name for name in report.new if not name.startswith("interests.")]:
        reasons = "; ".join(f"{name} ({report.new[name]})" for name in untrained)
        raise CheckpointError(
            f"ckpt={run.ckpt} was not trained for this data: {reasons} would be random. Fine-tune it "
            "first, or evaluate an inductive checkpoint on the modalities that it knows "
            f"({', '.join(modalities_of(checkpoint.weights))})."
        )
    return model


def load_members(cfg: DictConfig, first: DictConfig, datamodule: DomainDataModule) -> list[SequenceRecommender]:
    """The further networks of an ensemble.

    Args:
        cfg: the config of the evaluation, with their checkpoints under ``ensemble``.
        first: the config of the first network's run.
        datamodule: the data that all rank.

    Raises:
        CheckpointError: one was trained on other data, or reads it in another way.
    """
    members = []
    for path in map(str, cfg.ensemble):
        checkpoint = read_checkpoint(path, "ensemble")
        run = stored_run(checkpoint.config, cfg)
        run.ckpt = path
        check_trained_on(datamodule, checkpoint, f"ensemble={path}")
        for name in _SHARED:
            theirs, ours = OmegaConf.select(run, name), OmegaConf.select(first, name)
            if theirs != ours:
                raise CheckpointError(
                    f"ensemble={path} was trained with {name}={theirs}, ckpt={cfg.ckpt} with {ours}: members have "
                    "to agree in it."
                )
        with complete_config(f"ensemble={path}"):
            members.append(building.build_module(run, load_network(run, checkpoint, datamodule)))
    return members


def check_trained_on(datamodule: DomainDataModule, checkpoint: Checkpoint, flag: str) -> None:
    """Refuse a member of an ensemble that was trained on other data.

    Raises:
        CheckpointError: it was.
    """
    if checkpoint.config["phase"]["name"] != "finetune" or not building.is_same_data(checkpoint, datamodule):
        raise CheckpointError(
            f"{flag} is of phase={checkpoint.config['phase']['name']} on {', '.join(checkpoint.data)}, the "
            f"evaluation is on {', '.join(building.fingerprints(datamodule))} (or their content changed): members "
            "of an ensemble have to be fine-tuned on the data that they rank."
        )


def resolved(node: DictConfig) -> dict[str, Any]:
    """A node with its interpolations filled in, as plain values."""
    container = OmegaConf.to_container(node, resolve=True)
    assert isinstance(container, dict)
    return {str(name): value for name, value in container.items()}
