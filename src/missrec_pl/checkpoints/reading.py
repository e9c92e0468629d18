"""Reading checkpoints without executing anything they contain."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from missrec_pl.checkpoints.files import RECORD, SCHEMA_VERSION, damage_of
from missrec_pl.checkpoints.versions import renamed_tensors
from missrec_pl.errors import CheckpointError


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint of this project holds.

    Attributes:
        config: config of the run, interpolations unresolved.
        data: fingerprint of each domain of the run.
        weights: ``state_dict`` of the network.
        epochs: number of epochs whose every batch was trained on.
        logged_steps: number of the first step that was not logged before the checkpoint was written; a run that is
            continued repeats it.
        scorers: ``state_dict`` of the auxiliary scorers.
        steps: optimiser steps done.
        waited: validations since the best one, as early stopping counts them; 0 without it.
        is_whole_epoch: whether every batch of the last epoch was trained on.
        network: class path and resolved arguments of the network; None before they were noted.
        encoders: per modality the encoders of the features that the run read; empty where nobody noted them.
    """

    config: dict[str, Any]
    data: dict[str, str]
    weights: dict[str, Tensor]
    epochs: int
    logged_steps: int = 0
    scorers: dict[str, Tensor] = field(default_factory=dict)
    encoders: dict[str, list[str]] = field(default_factory=dict)
    network: dict[str, Any] | None = None
    steps: int = 0
    waited: int = 0
    is_whole_epoch: bool = True


def read_checkpoint(path: str | Path, flag: str = "ckpt") -> Checkpoint:
    """Read a checkpoint with ``weights_only=True``.

    Args:
        path: the file.
        flag: what the user named the file with, for the messages.

    Raises:
        CheckpointError: no such file, unreadable, diverged, of a newer version, or not a checkpoint of this
            project.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"{flag}={path}: there is no such file.")
    content = _load(file, flag)
    if not isinstance(content, dict) or RECORD not in content or "state_dict" not in content:
        raise CheckpointError(
            f"{flag}={path} was not written by this project: it has no record {RECORD!r}; give the "
            "checkpoints/best.ckpt of one of its runs."
        )
    try:
        record, progress = content[RECORD], content.get("loops", {}).get("fit_loop", {})
        is_whole = progress.get("epoch_loop.batch_progress", {}).get("is_last_batch", True)
        epochs = int(content["epoch"]) + bool(is_whole)
        steps = int(progress.get("epoch_loop.state_dict", {}).get("_batches_that_stepped", 0))
        if (version := int(record.get("schema_version", 0))) > SCHEMA_VERSION:
            raise CheckpointError(
                f"{flag}={path} was written by a newer version of this project: schema version {version}, this "
                f"program reads up to {SCHEMA_VERSION}; update missrec-pl."
            )
        config, data = dict(record["config"]), dict(record["data"])
        encoders = {str(name): [str(made) for made in by] for name, by in record.get("encoders", {}).items()}
        state = renamed_tensors(content["state_dict"])
        _check_tensors(state, f"{flag}={path}")
        network = record.get("network")
        done, waited = int(content.get("global_step", 0)), _waited(content.get("callbacks", {}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(
            f"{flag}={path} cannot be read: an entry of its record is missing or wrong ({error!r}); give the "
            "checkpoints/best.ckpt of a finished run."
        ) from error
    weights, scorers = (
        {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        for prefix in ("model.", "scorers.")
    )
    return Checkpoint(
        config, data, weights, epochs, steps, scorers, encoders, network, done, waited, bool(is_whole)
    )


def _waited(callbacks: dict[str, Any]) -> int:
    """The longest wait of the early stoppings, whose key in the checkpoint is their name and what they watch."""
    kept = [state for name, state in callbacks.items() if name.startswith("EarlyStopping{")]
    return max((int(state["wait_count"]) for state in kept), default=0)


def _load(file: Path, flag: str) -> Any:
    reason = damage_of(file)
    try:
        if reason is None:
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged pickle raises is anybody's guess
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            reason = f"it names {named[1]}, which no checkpoint needs"
    raise CheckpointError(
        f"{flag}={file} cannot be read: it is truncated or no checkpoint ({reason}); give the "
        "checkpoints/best.ckpt of a finished run."
    )


def _check_tensors(state: dict[str, Any], where: str) -> None:
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} is a {type(tensor).__name__}")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{where}: the weight {name.removeprefix('model.')} holds NaN or infinity, for the run had "
                "diverged; give an earlier one."
            )
