"""Where a run starts: from another run's weights (``ckpt``), or where it was interrupted (``resume``)."""

from __future__ import annotations

import logging

from omegaconf import DictConfig, OmegaConf

from missrec_pl.checkpoints.reading import Checkpoint
from missrec_pl.checkpoints.transfer import (
    TransferReport,
    feature_modalities_of,
    modalities_of,
    transfer_scorers,
    transfer_weights,
)
from missrec_pl.checkpoints.versions import comparable, current_class_path
from missrec_pl.config.stored_values import StoredValues, raw_value
from missrec_pl.data.domain.manifest import other_encoders
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.building import encoders, is_same_data
from missrec_pl.modules import TrainingModule

log = logging.getLogger(__name__)

_DATA = (
    *("batch_size", "split", "max_history", "modalities", "overfit_rows", "example"),
    *("candidates", "num_negatives", "domain_sampling", "domain_temperature", "num_folds"),
)
_TRAINER = ("precision", "accumulate_grad_batches", "limit_train_batches", "gradient_clip_val")
"""Options of data and trainer, beside whole groups, that decide about the outcome of training."""


def load_weights(
    cfg: DictConfig, checkpoint: Checkpoint, module: TrainingModule, datamodule: DomainDataModule
) -> TransferReport:
    """Start the network from a checkpoint's weights and log what was loaded, what is new and what was left.

    Raises:
        CheckpointError: the checkpoint is of another model or of other sizes.
    """
    check_architecture(cfg, checkpoint, module, f"ckpt={cfg.ckpt}")
    same_items = is_same_data(checkpoint, datamodule)
    others = other_encoders(checkpoint.encoders, encoders(datamodule))
    try:
        report = transfer_weights(module.model, checkpoint.weights, same_items=same_items, other_encoders=others)
    except CheckpointError as error:
        raise CheckpointError(f"ckpt={cfg.ckpt}: {error}") from error
    theirs = feature_modalities_of(checkpoint.weights) or datamodule.catalogue.modalities
    report += transfer_scorers(module.scorers, checkpoint.scorers, datamodule.catalogue.modalities, theirs)
    for line in report.lines():
        log.info(line)
    return report


def check_resume(
    cfg: DictConfig, checkpoint: Checkpoint, module: TrainingModule, datamodule: DomainDataModule
) -> None:
    """Refuse to continue a run as another one, and say which values changed.

    Raises:
        CheckpointError: other phase, model, data or sizes than the checkpoint's, or no epochs left to train.
    """
    flag = f"resume={cfg.resume}"
    check_architecture(cfg, checkpoint, module, flag)
    theirs = StoredValues(comparable(checkpoint.config), flag)
    for name in ("phase.name", "setting.name"):
        before, now = theirs.get(name), OmegaConf.select(cfg, name)
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
    _check_tensors(flag, checkpoint, module)
    limit = cfg.trainer.max_epochs
    if limit is not None and 0 <= limit < checkpoint.epochs:
        raise CheckpointError(
            f"{flag} has trained for {checkpoint.epochs} epochs already and trainer.max_epochs={limit}: raise it."
        )
    for name in _changed(theirs, cfg):
        before, now = theirs.stated(name), OmegaConf.select(cfg, name)
        log.warning("resume: %s was %s and is now %s", name, before, now)


def _check_tensors(flag: str, checkpoint: Checkpoint, module: TrainingModule) -> None:
    ours = {**module.model.state_dict(), **{f"scorers.{n}": t for n, t in module.scorers.state_dict().items()}}
    theirs = {**checkpoint.weights, **{f"scorers.{n}": t for n, t in checkpoint.scorers.items()}}
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    differing = [name for name, tensor in theirs.items() if shapes.pop(name, None) != tuple(tensor.shape)]
    if differing := differing + list(shapes):
        raise CheckpointError(
            f"{flag} has other sizes than this run: {len(differing)} tensors differ, e.g. {differing[0]}; repeat "
            "the command of that run."
        )
    before, now = modalities_of(theirs), modalities_of(ours)
    if before != now:
        raise CheckpointError(
            f"{flag} is of a run with data.modalities=[{','.join(before)}], this one has [{','.join(now)}]: "
            "repeat the command of that run."
        )


def check_architecture(cfg: DictConfig, checkpoint: Checkpoint, module: TrainingModule, flag: str) -> None:
    """Refuse a checkpoint of another network, or of one whose weights mean something else.

    Raises:
        CheckpointError: it is.
    """
    stored = StoredValues(checkpoint.config, flag)
    theirs, ours = (current_class_path(str(one)) for one in (stored.get("model._target_"), cfg.model["_target_"]))
    if theirs != ours:
        raise CheckpointError(
            f"{flag} holds a {theirs.rpartition('.')[2]}, but the config builds a "
            f"{ours.rpartition('.')[2]}: choose the model that the checkpoint was trained with."
        )
    for name in (*(f"model.{option}" for option in module.model.decides), "features.whitening"):
        before, now = stored.get(name), OmegaConf.select(cfg, name)
        if name == "features.whitening" and before is None:
            before = 0.0  # as before there was a choice
        if before is not None and before != now:
            raise CheckpointError(
                f"{flag} was trained with {name}={before}, this run has {now}, and the weights would fit all the "
                f"same: say {name}={before}."
            )


def _changed(theirs: StoredValues, ours: DictConfig) -> list[str]:
    """Flags that decide about the outcome of training and differ."""
    names = ["seed", *(f"data.{name}" for name in _DATA), *(f"trainer.{name}" for name in _TRAINER)]
    if OmegaConf.select(ours, "optim.scheduler"):
        names.append("trainer.max_epochs")
    for group in ("model", "scorers", "objective", "interest", "optim", "finetune", "phase.module"):
        keys = {*(theirs.stated(group) or ()), *(OmegaConf.select(ours, group) or ())}
        names += [f"{group}.{key}" for key in sorted(map(str, keys))]
    texts = OmegaConf.to_container(ours, resolve=False)
    return [
        name
        for name in names
        # What stands there alike is alike, where the checkpoint's cannot be filled in.
        if (before := theirs.stated(name)) != OmegaConf.select(ours, name) and before != raw_value(texts, name)
    ]
