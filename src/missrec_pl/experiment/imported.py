"""From a checkpoint of the authors' program to one of ours: weights, the config they belong to, and a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from missrec_pl.checkpoints.imported.names import model_kwargs_of_released, translate_released
from missrec_pl.checkpoints.imported.reading import ReleasedCheckpoint
from missrec_pl.checkpoints.record import RECORD
from missrec_pl.checkpoints.transfer import transfer_weights
from missrec_pl.config.resolvers import register_resolvers
from missrec_pl.errors import CheckpointError, ConfigError

# What belongs to the items that they trained on: no file of ours says which items these were.
_BOUND_TO_ITEMS = ("interests.", "id_embedding.")
_FUSIONS = ("static", "dynamic_shared")
# Their training ran k-means, whatever their config says of DPC-KNN. The weights have no history bias.
_CHOICES = (
    "phase=pretrain",
    "data=released",
    "data.name=released",
    "model=missrec_released",
    "model.history_bias=none",
    "interest=kmeans",
)


@dataclass(frozen=True)
class Import:
    """A checkpoint of ours made of one of theirs.

    Attributes:
        content: what the file holds, plain values and tensors.
        flags: settings that a run from this checkpoint has to repeat.
        report: what was read, renamed and left, a line per fact.
    """

    content: dict[str, Any]
    flags: tuple[str, ...]
    report: tuple[str, ...]


def import_released(checkpoint: ReleasedCheckpoint, configs: Path | str) -> Import:
    """Makes a checkpoint of ours.

    Args:
        checkpoint: One of theirs.
        configs: The project's config folder; it says what their config leaves open.

    Raises:
        CheckpointError: It is no whole MISSRec network, or one that ours cannot be.
        ConfigError: There are no configs.
    """
    translation = translate_released(checkpoint.state)
    weights = {name: t for name, t in translation.weights.items() if not name.startswith(_BOUND_TO_ITEMS)}
    for name, tensor in weights.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(f"{name} holds NaN, infinite values or whole numbers: the file is damaged.")
    kwargs = model_kwargs_of_released(checkpoint.state)
    dims = kwargs["feature_dims"]
    cfg, flags = _config(checkpoint.config, kwargs, configs)
    _check_fit(cfg, dims, weights)
    trained_on = _text(checkpoint.config, "dataset") or "unknown data"
    content = {
        RECORD: {
            "config": OmegaConf.to_container(cfg, resolve=False),
            "data": {f"{trained_on} (imported from the authors' program)": "unknown"},
        },
        "state_dict": {f"model.{name}": tensor for name, tensor in weights.items()},
        "epoch": checkpoint.epoch,
    }
    stage = _text(checkpoint.config, "train_stage") or "unknown stage"
    widths = ", ".join(f"{name} {width}" for name, width in dims.items())
    bound = [theirs for theirs, ours in translation.loaded.items() if ours[0].startswith(_BOUND_TO_ITEMS)]
    left = dict.fromkeys(bound, "belongs to the items of the data") | translation.left
    left |= dict.fromkeys(checkpoint.unread, "not part of the network")
    report = [
        f"{stage} on {trained_on}, {checkpoint.epoch + 1} epochs; widths of the features: {widths}",
        *(f"loaded {theirs} as {', '.join(o)}" for theirs, o in translation.loaded.items() if theirs not in bound),
        *(f"left   {theirs}: {why}" for theirs, why in left.items()),
    ]
    if "compat" in cfg.model:
        report.append("eval.py computes with model.compat=true, as they trained; fine-tune with it or without")
    return Import(content, tuple(flags), tuple(report))


def _config(
    theirs: Mapping[str, Any], kwargs: Mapping[str, Any], configs: Path | str
) -> tuple[DictConfig, list[str]]:
    """A run's config with their hyper-parameters, and the flags among them that the weights depend on."""
    register_resolvers()
    folder = Path(configs).resolve()
    if not (folder / "train.yaml").is_file():
        raise ConfigError(
            f"there is no {folder / 'train.yaml'}; say with --configs where the project's configs are."
        )
    with initialize_config_dir(str(folder), version_base="1.3"):
        cfg = compose("train", overrides=list(_CHOICES))
    needed = {f"model.{name}": kwargs[name] for name in ("hidden_size", "inner_size")} | {
        "model.num_heads": _heads(theirs, kwargs["hidden_size"]),
        "model.num_encoder_layers": kwargs["num_encoder_layers"],
        "model.num_decoder_layers": kwargs["num_decoder_layers"],
        "model.fusion_concentration": kwargs["fusion_concentration"],
        "model.sequence_fusion": _one_of(theirs, "seq_mm_fusion", ("add", "contextual")),
        "data.max_history": kwargs["max_history"],
    }
    _one_of(theirs, "hidden_act", ("gelu",))
    _one_of(theirs, "item_mm_fusion", _FUSIONS)
    flags = []
    for flag, value in needed.items():
        if OmegaConf.select(cfg, flag) != value:
            OmegaConf.update(cfg, flag, value)
            flags.append(f"{flag}={'null' if value is None else value}")
    settings = {
        "model.dropout": _number(theirs, "hidden_dropout_prob", high=0.99),
        "objective.temperature": _number(theirs, "temperature", low=1e-6),
        "objective.orthogonality_weight": _number(theirs, "gamma"),
        "objective.seq_seq_weight": _number(theirs, "lambda"),
        "objective.augmentation.probability": _number(theirs, "item_drop_ratio", high=0.99),
        "interest.num_prototypes": _number(theirs, "interest_ratio", low=1e-6, high=1.0),
    }
    if "compat" in cfg.model:
        settings["model.compat"] = True  # that is how the weights were trained
    name = _text(theirs, "dataset")
    for flag, value in (settings | ({"data.name": name} if name else {})).items():
        OmegaConf.update(cfg, flag, value)
    return cfg, flags


def _check_fit(cfg: DictConfig, dims: Mapping[str, int], weights: Mapping[str, Tensor]) -> None:
    """The weights must be all that the network of the config needs for items of its own."""
    with torch.device("meta"):  # shapes only
        model = instantiate(cfg.model, feature_dims=dims, num_items=1, num_prototypes=1)
    report = transfer_weights(model, weights)
    if missing := [name for name in report.new if not name.startswith(_BOUND_TO_ITEMS)] + list(report.left):
        raise CheckpointError(f"the weights do not fit MISSRecReleased: {', '.join(missing[:3])}.")


def _heads(theirs: Mapping[str, Any], hidden_size: int) -> int:
    heads = theirs.get("n_heads")
    if type(heads) is not int or heads < 1 or hidden_size % heads:
        raise CheckpointError(f"its config's n_heads is no divisor of the hidden size {hidden_size}.")
    return heads


def _number(theirs: Mapping[str, Any], name: str, low: float = 0.0, high: float = 1e6) -> float:
    value = theirs.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise CheckpointError(f"its config's {name} is no number from {low:g} to {high:g}.")
    return float(value)


def _one_of(theirs: Mapping[str, Any], name: str, known: tuple[str, ...]) -> str:
    value = _text(theirs, name)
    if value not in known:
        raise CheckpointError(
            f"its config's {name} is {value or 'no text'}; MISSRecReleased has {', '.join(known)}."
        )
    return value


def _text(theirs: Mapping[str, Any], name: str) -> str:
    """A short word of their config, "" if there is none; never an interpolation of ours."""
    value = theirs.get(name)
    return value if type(value) is str and re.fullmatch(r"[\w.-]{1,80}", value, re.ASCII) else ""
