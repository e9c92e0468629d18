"""Checkpoints of earlier versions: what they do not know of is as it was, and so are their metrics."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from runs import composed, places

from missrec_pl.checkpoints.record import RECORD
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.run import evaluate

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


def changed_checkpoint(folder, target, wanted):
    """A copy of a run's best checkpoint without the options that are not wanted, and how many these are."""
    content = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    config = OmegaConf.create(content[RECORD]["config"])
    gone = [name for name in options(config) if not wanted(name)]
    without(config, gone)
    content[RECORD]["config"] = OmegaConf.to_container(config, resolve=False)
    torch.save(content, target)
    return gone


def metrics_of(checkpoint, tmp_path):
    cfg = composed(f"ckpt={checkpoint}", "trainer=cpu", *places(tmp_path, "eval"), config="eval")
    cfg.paths.data_dir, cfg.paths.cache_dir = None, None  # as in training
    return evaluate(cfg)["metrics"]


def test_a_checkpoint_of_the_first_version_evaluates_as_it_did(finetuned, tmp_path):
    folder, results = finetuned
    file = tmp_path / "first.ckpt"
    gone = changed_checkpoint(folder, file, lambda name: name in FIRST_OPTIONS or name.startswith(OF_OTHERS))
    assert "data.num_negatives" in gone
    assert metrics_of(file, tmp_path) == {
        name: v for name, v in results["metrics"].items() if name.startswith("test/")
    }


def test_an_option_that_no_version_lacked_is_named(finetuned, tmp_path):
    file = tmp_path / "changed.ckpt"
    changed_checkpoint(finetuned[0], file, lambda name: name != "data.eval_batch_size")
    with pytest.raises(CheckpointError, match=r"changed\.ckpt: its config lacks data\.eval_batch_size, .* again"):
        metrics_of(file, tmp_path)
    assert not (tmp_path / "eval" / "results.json").exists()
