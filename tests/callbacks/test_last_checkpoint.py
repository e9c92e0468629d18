import os
import signal

import lightning as L
import pytest
import torch
from interruptions import StopAt
from lightning.pytorch.callbacks import EarlyStopping
from tiny_fit import make_module

from missrec_pl.callbacks import InterestRefresh, LastCheckpoint
from missrec_pl.callbacks.last_checkpoint import StopSignal
from missrec_pl.errors import StoppedError


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """A parent that ignores SIGINT (a background job of a shell) hands that on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def fit(datamodule, make_trainer, tmp_path):
    """Fits with a LastCheckpoint and further callbacks; returns the steps at which it saved."""

    def run(*callbacks, every_minutes=None, every_n_steps=None, **changes):
        last = LastCheckpoint(str(tmp_path), every_minutes=every_minutes, every_n_steps=every_n_steps)
        saved = []
        save = last._save
        last._save = lambda trainer: (saved.append(trainer.global_step), save(trainer))
        settings = {"max_epochs": 2, "enable_checkpointing": True, "num_sanity_val_steps": 0, **changes}
        trainer = make_trainer(InterestRefresh(), *callbacks, last, **settings)
        trainer.fit(make_module(datamodule), datamodule=datamodule)
        return saved

    return run


def test_every_epoch_is_saved_and_the_one_before_kept(fit, datamodule, tmp_path):
    per_epoch = len(datamodule.train_dataloader())
    assert per_epoch > 2
    assert fit() == [per_epoch, 2 * per_epoch]
    names = ("previous.ckpt", "last.ckpt")
    steps = [torch.load(tmp_path / name, weights_only=True)["global_step"] for name in names]
    assert steps == [per_epoch, 2 * per_epoch]


def test_steps_and_time_save_within_an_epoch_but_not_before_validation(fit, datamodule):
    per_epoch = len(datamodule.train_dataloader())
    every = list(range(1, 2 * per_epoch + 1))
    assert fit(every_n_steps=1) == every  # the last step of an epoch is saved once, when the epoch has ended
    assert fit(every_minutes=0.0) == every
    assert fit(every_n_steps=2, max_epochs=1) == sorted({*range(2, per_epoch, 2), per_epoch})
    within = fit(every_n_steps=1, max_epochs=1, val_check_interval=2)
    assert within == sorted({*range(1, per_epoch, 2), per_epoch})  # validation follows every second step


def test_half_a_step_is_not_saved(fit, datamodule):
    per_epoch = len(datamodule.train_dataloader())
    saved = fit(every_n_steps=1, max_epochs=1, accumulate_grad_batches=2)
    assert len(saved) == len(set(saved)) == -(-per_epoch // 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_a_checkpoint_and_restores_the_handler(number, fit, tmp_path):
    before = signal.getsignal(number)
    saved = rf"stopped by {number.name}; saved .*last.ckpt at epoch 0, batch 2"
    with pytest.raises(StoppedError, match=saved) as stopped:
        fit(StopAt(0, 1, number))
    assert stopped.value.exit_code == 75
    assert signal.getsignal(number) == before
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 2


def test_sigterm_at_the_last_step_saves_the_whole_epoch(fit, datamodule):
    with pytest.raises(StoppedError, match="at the end of epoch 0"):
        fit(StopAt(0, len(datamodule.train_dataloader()) - 1))


def test_the_second_ctrl_c_stops_at_once(capsys):
    wish = StopSignal()
    wish.install()
    os.kill(os.getpid(), signal.SIGINT)
    assert wish.received == "SIGINT"
    assert "Ctrl-C again" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


class StopLater(L.Callback):
    """Ends the fit as a time limit does: without early stopping's doing."""

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = True


@pytest.mark.parametrize(("patience", "epochs"), [(1, 1), (9, 4)])
def test_what_a_time_limit_ended_goes_on_and_patience_is_this_commands(
    patience, epochs, datamodule, make_trainer, tmp_path
):
    settings = {"enable_checkpointing": True, "num_sanity_val_steps": 0, "max_epochs": 4}
    never = {"monitor": "val/ndcg@5", "mode": "max", "min_delta": 9.0, "check_finite": False}
    callbacks = [InterestRefresh(), EarlyStopping(**never, patience=5), LastCheckpoint(str(tmp_path))]
    trainer = make_trainer(*callbacks, StopLater(), **settings)
    trainer.fit(make_module(datamodule), datamodule=datamodule)
    assert trainer.current_epoch == 1
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    name = next(name for name in state["callbacks"] if "EarlyStopping" in name)
    state["callbacks"][name]["wait_count"] = 1
    torch.save(state, tmp_path / "last.ckpt")
    stopping = EarlyStopping(**never, patience=patience)
    again = make_trainer(InterestRefresh(), stopping, LastCheckpoint(str(tmp_path)), **settings)
    again.fit(
        make_module(datamodule),
        datamodule=datamodule,
        ckpt_path=tmp_path / "last.ckpt",
        weights_only=True,
    )
    assert again.current_epoch == epochs


def test_sigterm_ends_a_test(datamodule, make_trainer, tmp_path):
    class StopInTest(InterestRefresh):
        def on_test_batch_start(self, *_):
            os.kill(os.getpid(), signal.SIGTERM)

    trainer = make_trainer(StopInTest(), LastCheckpoint(str(tmp_path)), enable_checkpointing=True)
    with pytest.raises(StoppedError, match="while testing"):
        trainer.test(make_module(datamodule), datamodule=datamodule, verbose=False)


def test_a_trial_run_writes_nothing(fit, tmp_path):
    fit(fast_dev_run=True, enable_checkpointing=True)
    assert not list(tmp_path.rglob("*.ckpt"))
