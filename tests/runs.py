"""Tiny runs through the composition root, for the tests of configs, runs and command lines."""

import copy
import os
import subprocess
import sys
from functools import cache
from unittest.mock import patch

from forked import ROOT, run_forked
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.override_parser.overrides_parser import OverridesParser

CONFIGS = ROOT / "configs"
SMALL = ("model.hidden_size=32", "model.num_heads=2", "model.inner_size=32")
QUIET = ("trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null")
# Half the time of a run without them.
QUICK = (
    "baselines.names=[random,popularity]",
    "++phase.module.length_buckets=1",
    "++trainer.num_sanity_val_steps=0",
)


def composed(*overrides, config="train"):
    """A config as the command line would compose it; what differs in values alone is composed once."""
    groups = [one for one in overrides if _is_choice(one)]
    cfg = copy.deepcopy(_composed(config, tuple(groups)))
    values = OverridesParser.create().parse_overrides([one for one in overrides if not _is_choice(one)])
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)  # as Hydra does, once all choices are merged
    return cfg


def _is_choice(override):
    """Whether an override is one of a group, or of Hydra's own."""
    key = override.partition("=")[0].lstrip("+~")
    return "@" in key or key.partition(".")[0] == "hydra" or (CONFIGS / key).is_dir()


@cache
def _composed(config, choices):
    reading = patch.object(ConfigRepository, "load_config", _read_once)
    with reading, initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(config, overrides=list(choices))


_read, _reads = ConfigRepository.load_config, {}


def _read_once(repository, config_path):
    """Hydra keeps the files that it has parsed for one composition, and changes them in it; these are for all."""
    if config_path not in _reads:
        _reads[config_path] = _read(repository, config_path)
    found = copy.copy(_reads[config_path])
    if found is not None:
        found.config = copy.deepcopy(found.config)
    return found


def places(tmp, name="run"):
    """Overrides that keep everything a run writes below ``tmp``; the generated data is shared."""
    return (f"paths.output_dir={tmp / name}", f"paths.cache_dir={tmp / 'cache'}", f"paths.data_dir={tmp / 'data'}")


def tiny(tmp, *overrides, name="run"):
    """Config of a small training run on synthetic data with two quick baselines; later overrides win."""
    return composed("data=synthetic", *SMALL, *QUIET, *QUICK, *places(tmp, name), *overrides)


def scores_of(results):
    """The test figures of results."""
    return {name: value for name, value in results["metrics"].items() if name.startswith("test/")}


def weights(folder, which="last"):
    """The network's weights in a checkpoint of a run."""
    from missrec_pl.checkpoints.reading import read_checkpoint  # after the shape checks of the tests are on

    return read_checkpoint(folder / "checkpoints" / f"{which}.ckpt").weights


def run_cli(*arguments, script="train.py", timeout=240, **environment):
    """Run an entry point as a user would; variables of its own are there before anything is imported."""
    # One thread, as in the tests' own process: sums in another order would differ in the last bits.
    settings = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        **environment,
    }
    words = [str(ROOT / script), *map(str, arguments)]
    if not environment:
        return run_forked(*words, env=settings, timeout=timeout)
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=settings, cwd=ROOT)
