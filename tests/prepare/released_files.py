"""Checkpoints as the authors' program saves them, from the golden one, with changes."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from missrec_pl.checkpoints.imported.reading import read_released_checkpoint

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "MISSRec-small-10.pth"


def save_released(path, *, config=None, state=None, without=(), **entries):
    """Saves the golden checkpoint again with other config values, tensors and further entries."""
    golden = read_released_checkpoint(GOLDEN)
    plain = {name: value for name, value in golden.config.items() if type(value) in (int, float, str, bool)}
    weights = {name: tensor for name, tensor in golden.state.items() if name not in without}
    theirs = type("Config", (), {"__module__": "config"})()
    theirs.final_config_dict = plain | (config or {})
    with pytest.MonkeyPatch.context() as patch:  # pickle wants to find the class; reading must not need it
        patch.setitem(sys.modules, "config", ModuleType("config"))
        sys.modules["config"].Config = type(theirs)
        torch.save({"config": theirs, "epoch": 9, "state_dict": weights | (state or {}), **entries}, path)
    return path
