import math

import lightning as L
import pytest
import torch
from tiny_fit import make_module

from missrec_pl.callbacks import InterestRefresh, LastCheckpoint, StepSeed, WarmupCosine
from missrec_pl.clustering.methods import KMeans
from missrec_pl.errors import ConfigError

RATE = 1e-2  # of tiny_fit
TERM_RATE = 0.03  # of score terms


class Rates(L.Callback):
    """Keeps both groups' rates of every step, and stops after so many."""

    def __init__(self, stop_after=None):
        self.seen = []
        self.stop_after = stop_after

    def on_train_batch_end(self, trainer, pl_module, *args):
        self.seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])
        if len(self.seen) == self.stop_after:
            trainer.should_stop = True


def fitted(datamodule, make_trainer, folder, epochs=4, resume=None, stop_after=None, **options):
    rates = Rates(stop_after)
    callbacks = (StepSeed(0), InterestRefresh(KMeans()), WarmupCosine(0.25), rates)
    trainer = make_trainer(
        *callbacks, LastCheckpoint(folder), max_epochs=epochs, enable_checkpointing=True, **options
    )
    module = make_module(datamodule.catalogue)
    trainer.fit(module, datamodule=datamodule, ckpt_path=resume, weights_only=True)
    return module, rates.seen, trainer.num_training_batches


def test_rates_rise_and_fall_over_the_whole_run(datamodule, make_trainer, tmp_path):
    _, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path)
    total = 4 * per_epoch
    assert len(seen) == total > 8
    rising = math.ceil(total / 4)
    for step, (network, terms) in enumerate(seen):
        expected = (step + 1) / rising
        if step >= rising:
            expected = (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2
        assert network == pytest.approx(RATE * expected)
        assert terms == pytest.approx(TERM_RATE * expected)
    assert seen[rising - 1] == pytest.approx([RATE, TERM_RATE])
    assert 0 < seen[-1][0] < 0.1 * RATE


def test_batches_of_one_step_have_one_rate(datamodule, make_trainer, tmp_path):
    _, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path, epochs=3, accumulate_grad_batches=2)
    per_epoch_steps = math.ceil(per_epoch / 2)
    step_of_batch = [epoch * per_epoch_steps + i // 2 for epoch in range(3) for i in range(per_epoch)]
    factors = [WarmupCosine(0.25).factor(step, 3 * per_epoch_steps) for step in step_of_batch]
    assert [network for network, _ in seen] == pytest.approx([RATE * factor for factor in factors])


def test_a_resumed_run_has_the_rates_and_weights_of_an_undisturbed_one(datamodule, make_trainer, tmp_path):
    whole, seen, per_epoch = fitted(datamodule, make_trainer, tmp_path / "whole")
    _, first, _ = fitted(datamodule, make_trainer, tmp_path / "half", stop_after=per_epoch)
    resumed, rest, _ = fitted(datamodule, make_trainer, tmp_path / "half", resume=tmp_path / "half" / "last.ckpt")
    assert first + rest == seen
    for (name, ours), theirs in zip(resumed.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_a_run_without_an_end_and_a_warmup_that_is_no_share_are_refused(datamodule, make_trainer, tmp_path):
    with pytest.raises(ConfigError, match=r"trainer\.max_epochs"):
        fitted(datamodule, make_trainer, tmp_path, epochs=-1)
    with pytest.raises(ConfigError, match="warmup=1"):
        WarmupCosine(1)
