import math
from functools import partial

import lightning as L
import pytest
import torch
from tiny_runs import make_model, make_module

from missrec_pl.callbacks import InterestRefresh, LastCheckpoint, StepSeed
from missrec_pl.clustering.methods import KMeans
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError
from missrec_pl.modules.schedules import WarmupCosine

RATE = 1e-2  # of tiny_runs
SCORER_RATE = 0.03  # of a module, where nothing else is said


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()], candidates="all", batch_size=48)
    datamodule.setup()
    return datamodule


class Rates(L.Callback):
    """Keeps both groups' rates of every step, and stops after so many."""

    def __init__(self, stop_after=None):
        self.seen = []
        self.stop_after = stop_after

    def on_train_batch_start(self, trainer, pl_module, *args):
        self.seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    def on_train_batch_end(self, trainer, pl_module, *args):
        if len(self.seen) == self.stop_after:
            trainer.should_stop = True


def cosine(step, total, warmup=0.25):
    """By the formula."""
    rising = math.ceil(warmup * total)
    if step < rising:
        return (step + 1) / rising
    return (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2


def fitted(datamodule, make_trainer, folder, epochs=4, resume=None, stop_after=None, **options):
    rates = Rates(stop_after)
    callbacks = (StepSeed(0), InterestRefresh(), rates, LastCheckpoint(folder))
    trainer = make_trainer(*callbacks, max_epochs=epochs, enable_checkpointing=True, **options)
    model = make_model("missrec", datamodule.catalogue, method=KMeans(), dropout=0.5)
    module = make_module(model, datamodule.catalogue, scheduler=partial(WarmupCosine, warmup=0.25))
    trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    return module, rates.seen, trainer.num_training_batches


def test_rates_rise_and_fall_over_the_whole_run(datamodule, make_trainer, tmp_path):
    _, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path)
    total = 4 * per_epoch
    assert len(seen) == total > 8
    for step, (network, scorers) in enumerate(seen):
        assert network == pytest.approx(RATE * cosine(step, total))
        assert scorers == pytest.approx(SCORER_RATE * cosine(step, total))
    assert seen[math.ceil(total / 4) - 1] == pytest.approx([RATE, SCORER_RATE])
    assert 0 < seen[-1][0] < 0.1 * RATE


def test_batches_of_one_step_have_one_rate(datamodule, make_trainer, tmp_path):
    _, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path, epochs=3, accumulate_grad_batches=2)
    per_epoch_steps = math.ceil(per_epoch / 2)
    step_of_batch = [epoch * per_epoch_steps + i // 2 for epoch in range(3) for i in range(per_epoch)]
    expected = [RATE * cosine(step, 3 * per_epoch_steps) for step in step_of_batch]
    assert [network for network, _ in seen] == pytest.approx(expected)


def test_a_limit_of_steps_is_the_end_too(datamodule, make_trainer, tmp_path):
    _, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path, max_steps=6)
    assert 4 * per_epoch > 6
    assert [network for network, _ in seen] == pytest.approx([RATE * cosine(step, 6) for step in range(6)])


def test_a_resumed_run_has_the_rates_and_weights_of_an_undisturbed_one(datamodule, make_trainer, tmp_path):
    whole, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path / "whole")
    _, first, _ = fitted(datamodule, make_trainer, tmp_path / "half", stop_after=per_epoch)
    resumed, rest, _ = fitted(datamodule, make_trainer, tmp_path / "half", resume=tmp_path / "half" / "last.ckpt")
    assert first + rest == seen
    for (name, ours), theirs in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_run_that_goes_on_to_another_end_takes_the_places_of_its_new_length(datamodule, make_trainer, tmp_path):
    _, first, per_epoch = fitted(datamodule, make_trainer, tmp_path, epochs=2)
    _, rest, _ = fitted(datamodule, make_trainer, tmp_path, epochs=5, resume=tmp_path / "last.ckpt")
    assert len(rest) == 3 * per_epoch
    old = [RATE * cosine(step, 2 * per_epoch) for step in range(2 * per_epoch)]
    new = [RATE * cosine(step, 5 * per_epoch) for step in range(2 * per_epoch, 5 * per_epoch)]
    assert [network for network, _ in first + rest] == pytest.approx(old + new)


def test_a_run_without_an_end_and_a_warmup_that_is_no_share_are_refused(datamodule, make_trainer, tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs"):
        fitted(datamodule, make_trainer, tmp_path, epochs=-1)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
    for warmup in (1, -0.1):
        with pytest.raises(ConfigError, match=rf"optim\.scheduler\.warmup={warmup}"):
            WarmupCosine(optimizer, warmup=warmup)
