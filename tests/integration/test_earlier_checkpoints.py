"""Checkpoints of earlier versions: what they do not know of is as it was, and so are their metrics."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from runs import composed, places

from missrec_pl.checkpoints.files import RECORD
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.evaluate import evaluate

VERSION_0_1 = Path(__file__).parent / "version_0_1"
FIRST_OPTIONS = set((Path(__file__).parent / "first_options.txt").read_text().split())
"""The options that the first version stored, but for those of callbacks, loggers, paths and sources of data."""
SYNTHETIC = ("data.first_domain", "data.num_domains")
OF_OTHERS = ("callbacks", "logger", "paths", "hydra", "command", "baselines", "data.source", *SYNTHETIC)


def options(config, prefix=""):
    for name in config:
        node = config._get_node(name)
        if OmegaConf.is_dict(node) and not node._is_none() and not node._is_interpolation():
            yield from options(node, f"{prefix}{name}.")
        else:
            yield prefix + name


def without(config, names):
    for name in names:
        parent, _, last = name.rpartition(".")
        del (OmegaConf.select(config, parent) if parent else config)[last]


def changed_checkpoint(source, target, wanted):
    """A copy of a checkpoint without the options that are not wanted, and which these are."""
    content = torch.load(source, weights_only=True)
    config = OmegaConf.create(content[RECORD]["config"])
    gone = [name for name in options(config) if not wanted(name)]
    without(config, gone)
    content[RECORD]["config"] = OmegaConf.to_container(config, resolve=False)
    torch.save(content, target)
    return gone


def metrics_of(checkpoint, tmp_path):
    cfg = composed(f"ckpt={checkpoint}", "trainer=cpu", *places(tmp_path, "eval"), config="eval")
    return evaluate(cfg)["metrics"]


@pytest.mark.parametrize("name", ["transductive", "pretrain"])
def test_a_checkpoint_of_the_first_version_evaluates_as_it_did(name, tmp_path):
    """Version 0.1 gained options while it was developed: what its first checkpoints lack is as it was."""
    file = tmp_path / "first.ckpt"
    gone = changed_checkpoint(
        VERSION_0_1 / f"{name}.ckpt", file, lambda option: option in FIRST_OPTIONS or option.startswith(OF_OTHERS)
    )
    assert {"data.num_negatives", "features.whitening", "objective.mask_duplicates"} <= set(gone)
    expected = json.loads((VERSION_0_1 / "metrics.json").read_text(encoding="utf-8"))[name]["evaluated"]
    found = metrics_of(file, tmp_path)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("lacking", ["seed", "metrics.ks", "features.placement"])
def test_an_option_that_no_version_lacked_is_named(lacking, finetuned, tmp_path):
    file = tmp_path / "changed.ckpt"
    best = finetuned[0] / "checkpoints" / "best.ckpt"
    assert changed_checkpoint(best, file, lambda name: name != lacking) == [lacking]
    with pytest.raises(CheckpointError, match=rf"changed\.ckpt: its config lacks {lacking}, .* again"):
        metrics_of(file, tmp_path)
    assert not (tmp_path / "eval" / "results.json").exists()


@pytest.mark.parametrize("lacking", ["setting.name", "model._target_", "phase.name"])
def test_an_option_that_version_0_1_never_lacked_is_named(lacking, tmp_path):
    file = tmp_path / "changed.ckpt"
    changed_checkpoint(VERSION_0_1 / "transductive.ckpt", file, lambda name: name != lacking)
    with pytest.raises(CheckpointError, match=rf"changed\.ckpt.* {lacking}"):
        metrics_of(file, tmp_path)
