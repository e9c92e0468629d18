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
    cfg: DictConfig,
    checkpoint: Checkpoint,
    module: TrainingModule,
    datamodule: DomainDataModule,
    *,
    is_tested: bool = False,
) -> TransferReport:
    """Start the network from a checkpoint's weights and log what was loaded, what is new and what was left.

    Args:
        cfg: the config.
        checkpoint: the checkpoint.
        module: the network and its scorers.
        datamodule: the data.
        is_tested: whether the weights are tested as they are, so that none may be left to train.

    Raises:
        CheckpointError: the checkpoint is of another model or of other sizes, or would leave weights random that
            are tested.
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
    if is_tested:
        _refuse_untrained(report, checkpoint, module, f"ckpt={cfg.ckpt}")
    return report


def _refuse_untrained(report: TransferReport, checkpoint: Checkpoint, module: TrainingModule, flag: str) -> None:
    empty = tuple(f"fitted.{name}." for name in module.model.fitted)
    if untrained := [name for name in report.new if not name.startswith(empty)]:
        reasons = "; ".join(f"{name} ({report.new[name]})" for name in untrained)
        raise CheckpointError(
            f"{flag} was not trained for this data: {reasons} would be random. Fine-tune it "
            "first, or evaluate an inductive checkpoint on the modalities that it knows "
            f"({', '.join(feature_modalities_of(checkpoint.weights))})."
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
