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
from missrec_pl.config.stored import current, with_paths
from missrec_pl.config.stored_values import StoredValues
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.experiment import building
from missrec_pl.experiment.starting import load_weights
from missrec_pl.modules import TrainingModule

log = logging.getLogger(__name__)

# What an evaluation says of its own, and what of the checkpoint's run it may change.
_OWN = (
    *("ckpt", "ensemble", "trust", "paths", "data", "trainer", "matmul_precision", "phase.name", "metrics"),
    *("logger", "tags", "notes", "recommend"),
)
_CHANGEABLE = (
    *("features.placement", "features.dtype", "baselines.names", "baselines.max_ease_items"),
    *("objective.eval_temperature", "phase.module.max_logits"),
)

# Of the command that made a checkpoint: where files lie, and what the checkpoint says in other ways.
_OF_ONE_RUN = ("seed=", "ckpt=", "resume=", "phase=", "setting=", "paths.", "hydra.", "hydra/")

# What members of an ensemble read and rank alike.
_SHARED = ("data.modalities", "data.max_history", "data.split", "data.eval_target", "data.refit")


def stored_run(stored: dict[str, Any], cfg: DictConfig, flag: str) -> DictConfig:
    """The config of the checkpoint's run with what the evaluation says on top of it.

    Args:
        stored: the config as the checkpoint holds it, which anybody may have written.
        cfg: the config of the evaluation.
        flag: what the user named the checkpoint with.

    Raises:
        CheckpointError: the stored config names what an evaluation does not build.
        ConfigError: the evaluation says something that it does not read.
    """
    places = {name: None if path is None else str(Path(path).resolve()) for name, path in cfg.paths.items()}
    run: DictConfig = OmegaConf.create(current(with_paths(stored, places), flag=flag, trust=cfg.trust))
    given = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(given, dict)
    run.ckpt, run.resume, run.test = given["ckpt"], None, True
    run.trainer, run.compile = given["trainer"], False  # one pass would not earn the compilation back
    for name, value in given["metrics"].items():
        if value is not None:
            run.metrics[name] = value
    if given.get("data") is not None:
        # What other data means by its domains is said for the phase that this data is used in now.
        about = {"phase": given["phase"], "paths": run.paths, "features": run.features, "seed": run.seed}
        there = OmegaConf.create({"data": given["data"], **about})
        # The longest history belongs to the network: it has so many position embeddings.
        kept = {"max_history": run.data.max_history}
        run.data = {**OmegaConf.to_container(run.data), **building.plain(there.data), **kept}  # type: ignore[dict-item]
    for name, value in _leaves(cast(dict[str, Any], given)):
        if name in _CHANGEABLE:
            OmegaConf.update(run, name, value, force_add=True)
            if name.startswith("features."):  # the data module takes it from there
                OmegaConf.update(run, name.replace("features.", "data."), value)
        elif not f"{name}.".startswith(tuple(f"{own}." for own in _OWN)):
            known = ", ".join(_CHANGEABLE)
            raise ConfigError(
                f"{name}={value}: the checkpoint's run decides it; an evaluation may change {known}."
            )
    for name in ("logger", "tags", "notes", "recommend"):  # who is told of the evaluation, and what
        OmegaConf.update(run, name, given.get(name), force_add=True, merge=False)
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
    values = StoredValues(checkpoint.config, "ckpt")
    nothing: dict[str, Any] = {"experiment": None, "experiment_model": None, "overrides": [], "ckpt_origin": None}
    words = values.words("command")
    said = nothing | (words if isinstance(words, dict) else {})
    kept = [word for word in map(str, said["overrides"] or ()) if not word.lstrip("+~").startswith(_OF_ONE_RUN)]
    return {
        "phase": values.get("phase.name"),
        "data": "+".join(checkpoint.data),
        "setting": values.get("setting.name"),
        **said,
        "overrides": kept,
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


def load_module(run: DictConfig, checkpoint: Checkpoint, datamodule: DomainDataModule) -> TrainingModule:
    """The checkpoint's network for the data of the run, with its scorers.

    On other data than it was trained on it reads content alone, without what was fitted by folds.

    Raises:
        CheckpointError: it was trained for other data and has nothing to read this one with.
    """
    shape = datamodule.shape
    if not building.is_same_data(checkpoint, datamodule):
        if shape.num_folds:
            log.info("other data: what is fitted by folds stays behind, for it belongs to the items trained on")
        shape = shape.changed(num_folds=0)
    module = building.build_module(run, datamodule, shape=shape, for_training=False)
    for line in building.describe(run, datamodule, module):
        log.info(line)
    load_weights(run, checkpoint, module, datamodule, is_tested=True)
    return module


def tested_as(checkpoint: Checkpoint, datamodule: DomainDataModule, flag: str) -> dict[str, Any]:
    """What ``results.json`` says of a checkpoint that is tested without training.

    Returns:
        ``init``: ``zero_shot`` on data that it was not fine-tuned on, else as its own run began; ``ckpt``: what
        that run began with; ``changed_since_training``, if any: domains of the same name with another content.
    """
    start = StoredValues(checkpoint.config, flag).stated("ckpt")
    if checkpoint.config["phase"]["name"] != "pretrain" and building.is_same_data(checkpoint, datamodule):
        return {"init": "scratch" if start is None else "pretrained", "ckpt": start}
    changed = changed_since(checkpoint, datamodule)
    return {"init": "zero_shot", "ckpt": start, **({"changed_since_training": changed} if changed else {})}


def warn_of_changes(checkpoint: Checkpoint, datamodule: DomainDataModule) -> None:
    """Say whose content is not what the checkpoint was trained on."""
    if changed := changed_since(checkpoint, datamodule):
        log.warning(
            "data: the content of %s changed since the checkpoint was trained: it counts as other data, zero-shot",
            ", ".join(changed),
        )


def changed_since(checkpoint: Checkpoint, datamodule: DomainDataModule) -> list[str]:
    """Domains of the same name as at training, whose content is another."""
    domains = [one for one in datamodule.catalogue.domains if one.name in checkpoint.data]
    return [
        one.name for one in domains if checkpoint.data[one.name] not in (one.fingerprint, one.file_fingerprint())
    ]


def load_members(cfg: DictConfig, first: DictConfig, datamodule: DomainDataModule) -> list[TrainingModule]:
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
        run = stored_run(checkpoint.config, cfg, f"ensemble={path}")
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
            members.append(load_module(run, checkpoint, datamodule))
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
