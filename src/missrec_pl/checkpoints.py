"""Reading checkpoints without executing anything they contain."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from missrec_pl.callbacks import RECORD
from missrec_pl.errors import CheckpointError

_MODEL_PREFIX = "model."


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint of this project holds.

    Attributes:
        config: config of the run, interpolations unresolved.
        data: fingerprint of each domain of the run.
        weights: ``state_dict`` of the network.
    """

    config: dict[str, Any]
    data: dict[str, str]
    weights: dict[str, Tensor]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint with ``weights_only=True``.

    Raises:
        CheckpointError: no such file, unreadable, or not a checkpoint of this project.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"ckpt={path}: there is no such file.")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:200]
        raise CheckpointError(
            f"ckpt={path} cannot be read ({reason}): is it complete, and a checkpoint?"
        ) from error
    if not isinstance(content, dict) or RECORD not in content or "state_dict" not in content:
        raise CheckpointError(f"ckpt={path} was not written by this project: it has no record {RECORD!r}.")
    weights = {
        name.removeprefix(_MODEL_PREFIX): tensor
        for name, tensor in content["state_dict"].items()
        if name.startswith(_MODEL_PREFIX)
    }
    return Checkpoint(content[RECORD]["config"], content[RECORD]["data"], weights)
