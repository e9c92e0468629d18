"""From a checkpoint of the authors' program to one of ours: weights, the config they belong to, and a report."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from missrec_pl.checkpoints.files import RECORD, SCHEMA_VERSION
from missrec_pl.checkpoints.imported.names import model_kwargs_of_released, translate_released
from missrec_pl.checkpoints.imported.reading import ReleasedCheckpoint
from missrec_pl.checkpoints.transfer import transfer_weights
from missrec_pl.errors import CheckpointError
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.missrec import MISSRecReleased
from missrec_pl.nn.missrec.base import SequenceModel

# What belongs to the items that they trained on: no file of ours says which items these were.
_BOUND_TO_ITEMS = ("fitted.interests.", "id_embedding.")
_DEFAULTS = {
    name: parameter.default
    for made in (SequenceModel, MISSRecReleased, DataShape)
    for name, parameter in signature(made).parameters.items()
}


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


def import_released(checkpoint: ReleasedCheckpoint) -> Import:
    """Makes a checkpoint of ours.

    Args:
        checkpoint: One of theirs.

    Raises:
        CheckpointError: It is no whole MISSRec network, or one that ours cannot be.
    """
    translation = translate_released(checkpoint.state)
    weights = {name: t for name, t in translation.weights.items() if not name.startswith(_BOUND_TO_ITEMS)}
    for name, tensor in weights.items():
        if not tensor.is_floating_point() or not tensor.isfinite().all():
            raise CheckpointError(f"{name} holds NaN, infinite values or whole numbers: the file is damaged.")
    kwargs = model_kwargs_of_released(checkpoint.state)
    dims = kwargs["feature_dims"]
    options = _options(checkpoint.config, kwargs)
    _check_fit(options, dims, weights)
    trained_on = _text(checkpoint.config, "dataset") or "unknown data"
    content = {
        RECORD: {
            "schema_version": SCHEMA_VERSION,
            "config": _config(checkpoint.config, options),
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
    report.append(
        "eval.py computes in reference mode (model.compat=true), as they trained; fine-tune with it or without"
    )
    return Import(content, _flags(options), tuple(report))


def _options(theirs: Mapping[str, Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of our network that their weights depend on."""
    _one_of(theirs, "hidden_act", ("gelu",))
    _one_of(theirs, "item_mm_fusion", ("static", "dynamic_shared"))
    heads, hidden_size = theirs.get("n_heads"), kwargs["hidden_size"]
    if type(heads) is not int or heads < 1 or hidden_size % heads:
        raise CheckpointError(f"its config's n_heads is no divisor of the hidden size {hidden_size}.")
    same = ("hidden_size", "inner_size", "num_encoder_layers", "num_decoder_layers", "fusion_concentration")
    return {name: kwargs[name] for name in (*same, "max_history")} | {
        "num_heads": heads,
        "sequence_fusion": _one_of(theirs, "seq_mm_fusion", ("add", "contextual")),
    }


def _flags(options: Mapping[str, Any]) -> tuple[str, ...]:
    """What a run from the checkpoint has to say beside its defaults."""
    sections = {"max_history": "data"}
    return tuple(
        f"{sections.get(name, 'model')}.{name}={'null' if value is None else value}"
        for name, value in options.items()
        if value != _DEFAULTS[name]
    )


def _config(theirs: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run of ours that would have trained their weights.

    Their training ran k-means, whatever their config says of DPC-KNN.
    """
    options = dict(options)
    max_history = options.pop("max_history")
    interest = {
        "_target_": "missrec_pl.nn.interests.InterestSettings",
        "num_prototypes": _number(theirs, "interest_ratio", low=1e-6, high=1.0),
        "every_n_epochs": 1,
        "method": {"_target_": "missrec_pl.clustering.methods.KMeans", "max_iterations": 25},
    }
    model = {
        "_target_": "missrec_pl.nn.missrec.MISSRecReleased",
        "interests": "${interest}",
        "item_ids": False,
        "dropout": _number(theirs, "hidden_dropout_prob", high=0.99),
        "collaborative": 0,
        "compat": True,  # that is how the weights were trained
        **options,
    }
    return {
        **{"seed": 0, "ckpt": None, "resume": None, "test": False, "optimized_metric": "val/ndcg@10"},
        **{"matmul_precision": "highest", "compile": False, "scorers": {}, "logger": None},
        "phase": {"name": "pretrain", "module": {"_target_": "missrec_pl.modules.TrainingModule", "views": True}},
        "setting": {"name": "inductive", "item_ids": False},
        "model": model,
        "interest": interest,
        "objective": _objective(theirs),
        "data": _data(_text(theirs, "dataset") or "released", max_history),
        "features": {"placement": "device", "dtype": "float32", "whitening": 0.0},
        "finetune": {"from_ckpt": "adapters", "from_scratch": None, "parts": None},
        "callbacks": {"interest_refresh": {"_target_": "missrec_pl.callbacks.InterestRefresh", "seed": 0}},
        "baselines": {"names": None, "max_ease_items": 8000},
        "metrics": {"ks": [10, 50], "mask_history": False, "compat": False},
        "paths": {"data_dir": "data", "cache_dir": "data/cache", "output_dir": "outputs"},
    }


def _objective(theirs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "_target_": "missrec_pl.losses.Contrastive",
        "temperature": _number(theirs, "temperature", low=1e-6),
        "eval_temperature": None,
        "orthogonality_weight": _number(theirs, "gamma"),
        "orthogonality_form": "released",
        "orthogonality_of_both_views": True,
        "seq_seq_weight": _number(theirs, "lambda"),
        "seq_seq_form": "released",
        "mask_duplicates": False,
        "padding_candidate": True,
        "augmentation": {
            "_target_": "missrec_pl.data.augmentations_released.ReleasedViews",
            "probability": _number(theirs, "item_drop_ratio", high=0.99),
        },
    }


def _data(name: str, max_history: int) -> dict[str, Any]:
    return {
        "_target_": "missrec_pl.datamodules.DomainDataModule",
        "name": name,
        "domains": [name],
        "source": {
            "_target_": "missrec_pl.data.sources.released_folders",
            "names": [name],
            "data_dir": "${paths.data_dir}",
            "cache_dir": "${paths.cache_dir}",
        },
        "max_history": max_history,
        "modalities": None,
        "split": "leave_one_out",
        "candidates": "in_batch",
        "num_folds": 0,
        "placement": "${features.placement}",
        "dtype": "${features.dtype}",
        "whitening": "${features.whitening}",
        "seed": 0,
    }


def _check_fit(options: Mapping[str, Any], dims: Mapping[str, int], weights: Mapping[str, Tensor]) -> None:
    """The weights must be all that the network of these options needs for items of its own."""
    own = {name: value for name, value in options.items() if name != "max_history"}
    shape = DataShape(1, dims, dict.fromkeys(dims, 1), max_history=options["max_history"])
    with torch.device("meta"):  # shapes only
        model = MISSRecReleased(shape, compat=True, **own)
    report = transfer_weights(model, weights)
    if missing := [name for name in report.new if not name.startswith(_BOUND_TO_ITEMS)] + list(report.left):
        raise CheckpointError(f"the weights do not fit MISSRecReleased: {', '.join(missing[:3])}.")


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
