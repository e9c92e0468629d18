"""Runs through the composition root, and everything that they came to know."""

import json
from copy import deepcopy
from dataclasses import dataclass, field

import lightning as L
import torch
from hydra.errors import ConfigCompositionException
from noisy_data import NAME
from omegaconf import OmegaConf
from runs import composed

import missrec_pl.experiment.train as train_module
from missrec_pl.experiment.train import train

SMALL = (
    "model.hidden_size=16",
    "model.num_heads=2",
    "model.inner_size=8",
    "+phase.module.length_buckets=1",
    "trainer.max_epochs=2",
)
RUN = (
    "data=domain",
    f"data.name={NAME}",
    f"data.domains=[{NAME}]",
    "data.batch_size=128",
    "data.num_folds=2",
    "trainer=cpu",
    "callbacks.progress=null",
    "baselines.names=[]",
    "logger=none",
)
HERE = {
    "experiment=released/run": ("released.run=1",),
    **dict.fromkeys(("model=vqrec", "model=vqrec_reference", "experiment=table2/vqrec"), ("model.code_cap=4",)),
    "experiment=table4/movies": (f"+data.by_phase={{pretrain:[one,other],finetune:[{NAME}]}}",),
}
"""What a choice needs on data that is smaller, or other, than its own."""


class Witness(L.Callback):
    """Copies weights, fitted statistics and curves after every epoch, and what is tested."""

    def __init__(self):
        self.epochs, self.curves, self.tested = [], [], {}

    def on_train_epoch_end(self, trainer, pl_module):
        self.epochs.append(known(pl_module, trainer.optimizers))
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.curves.append({name: value for name, value in logged.items() if not name.endswith("seconds")})

    def on_test_epoch_start(self, trainer, pl_module):
        self.tested = known(pl_module)


@dataclass
class Watched:
    """What a run came to know.

    Attributes:
        epochs: after each epoch, weights, fitted statistics and the optimiser's state by name.
        curves: after each epoch, what was logged but for times.
        tested: weights and fitted statistics that were tested; empty where nothing is tested.
        results: results.json.
    """

    epochs: list
    curves: list
    tested: dict
    results: dict = field(repr=False)

    @property
    def test_figures(self):
        return part(self.results["metrics"], "test/")

    @property
    def validation_figures(self):
        return part(self.results["metrics"], "val/")


def known(module, optimizers=()):
    """Copies of all that a module and its optimisers hold."""
    found = {name: tensor.detach().clone() for name, tensor in module.named_parameters()}
    found |= {name: tensor.clone() for name, tensor in module.named_buffers() if "metrics" not in name}
    for optimizer in optimizers:
        for number, state in enumerate(optimizer.state.values()):
            found |= {
                f"optimizer.{number}.{name}": torch.as_tensor(value).clone() for name, value in state.items()
            }
    return found


def small(*said):
    """A config on the tiny domain; its choices of data and sizes give way, all others stay."""
    needed = [one for name in said for one in HERE.get(name, ())]
    try:
        return composed(*RUN, *SMALL, *said, *needed)
    except ConfigCompositionException:  # a network without one of the sizes
        options = composed(*RUN, *said, *needed).model
        lacking = [one for one in SMALL if one.startswith("model.") and one[6 : one.index("=")] not in options]
        sizes = [one for one in SMALL if one not in lacking]
        return composed(*RUN, *sizes, *said, *needed)


def content(cfg):
    """What a config says, but for folders: two that say the same are one run."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    plain.pop("released", None)
    plain.pop("table4", None)
    plain["data"] |= {"name": None, "by_phase": None}
    return json.dumps(plain, sort_keys=True)


def watched(cfg, data_dir, folder, monkeypatch, is_tested=True):
    """Run a config on the domain of a data folder."""
    cfg, witness, build = deepcopy(cfg), Witness(), train_module.build_trainer
    cfg.paths.data_dir, cfg.paths.output_dir, cfg.paths.cache_dir = data_dir, str(folder), str(folder / "cache")
    cfg.test = cfg.test and is_tested

    def with_witness(*arguments):
        trainer, clock = build(*arguments)
        trainer.callbacks.append(witness)
        return trainer, clock

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "build_trainer", with_witness)
        results = train(cfg)
    return Watched(witness.epochs, witness.curves, witness.tested, results)


def differing(one, other):
    """Names of the tensors that are not the same to the bit."""
    assert one.keys() == other.keys()
    return [name for name, tensor in one.items() if not torch.equal(tensor, other[name])]


def part(values, *beginnings):
    """Logged values whose names begin so."""
    return {name: value for name, value in values.items() if name.startswith(beginnings)}
