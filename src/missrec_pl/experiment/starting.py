"""A run that starts from another run's weights (``ckpt``)."""

from __future__ import annotations

import logging

from omegaconf import DictConfig, OmegaConf

from missrec_pl.checkpoints.reading import Checkpoint
from missrec_pl.checkpoints.transfer import (
    TransferReport,
    feature_modalities_of,
    transfer_scorers,
    transfer_weights,
)
from missrec_pl.checkpoints.versions import current_class_path
from missrec_pl.config.stored_values import StoredValues
from missrec_pl.data.domain.manifest import other_encoders
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.building import encoders, is_same_data
from missrec_pl.modules import TrainingModule

log = logging.getLogger(__name__)


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
