import logging

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from tiny_fit import make_module

from missrec_pl.callbacks import EpochLines, InterestRefresh, LastCheckpoint, RunClock, RunRecord
from missrec_pl.checkpoints.files import RECORD, SCHEMA_VERSION

CONFIG = {"model": {"_target_": "missrec_pl.nn.MISSRec", "hidden_size": 8}, "seed": 3, "ks": [1, 5], "ckpt": None}


@pytest.fixture
def module(datamodule):
    return make_module(datamodule)


def test_the_record_and_the_interests_come_back_with_weights_only(module, datamodule, make_trainer, tmp_path):
    record = RunRecord(CONFIG, {"synthetic_0": "abc"}, {"text": ["synthetic-projection"]})
    trainer = make_trainer(record, InterestRefresh(), max_epochs=1, limit_val_batches=0)
    trainer.fit(module, datamodule=datamodule)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    content = torch.load(tmp_path / "run.ckpt", weights_only=True)
    assert content[RECORD] == {
        "schema_version": SCHEMA_VERSION,
        "config": CONFIG,
        "data": {"synthetic_0": "abc"},
        "encoders": {"text": ["synthetic-projection"]},
    }
    stored = {name: content["state_dict"][f"model.{name}"] for name in module.model.state_dict()}
    assert torch.equal(stored["fitted.interests.assignment"], module.model.interests.assignment)
    assert stored["fitted.interests.num_refreshes"] == 1
    fresh = make_module(datamodule)
    fresh.model.load_state_dict(stored)
    assert torch.equal(fresh.model.interests.prototypes, module.model.interests.prototypes)


def test_checkpoints_hold_no_features_and_no_counts(datamodule, make_trainer, tmp_path):
    module = make_module(datamodule, scorers=("seen", "cooccurrence", "content"))
    trainer = make_trainer(InterestRefresh(), max_epochs=1, limit_val_batches=0)
    trainer.fit(module, datamodule=datamodule)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    names = set(torch.load(tmp_path / "run.ckpt", weights_only=True)["state_dict"])
    assert len(list(module.scorers.named_buffers())) > 6
    learned = {f"scorers.{name}" for name, _ in module.scorers.named_parameters()}
    assert names == learned | {f"model.{name}" for name in module.model.state_dict()}


def test_the_clock_measures_fit_epochs_and_test(module, datamodule, make_trainer):
    clock = RunClock()
    trainer = make_trainer(clock, InterestRefresh(), max_epochs=2)
    trainer.fit(module, datamodule=datamodule)
    assert len(clock.epoch_seconds) == 2
    assert 0 < sum(clock.epoch_seconds) <= clock.fit_seconds
    assert clock.test_seconds == 0
    trainer.test(module, datamodule=datamodule, verbose=False)
    assert clock.test_seconds > 0


def test_testing_an_earlier_epoch_does_not_turn_the_clock_back(module, datamodule, make_trainer, tmp_path):
    clock = RunClock()
    first = ModelCheckpoint(dirpath=tmp_path, filename="first", monitor="epoch", mode="min")
    trainer = make_trainer(clock, first, InterestRefresh(), max_epochs=3, enable_checkpointing=True)
    trainer.fit(module, datamodule=datamodule)
    before = (clock.fit_seconds, clock.fit_cpu_seconds, list(clock.epoch_seconds))
    assert torch.load(first.best_model_path, weights_only=True)["epoch"] == 0
    trainer.test(module, datamodule=datamodule, ckpt_path=first.best_model_path, weights_only=True, verbose=False)
    assert (clock.fit_seconds, clock.fit_cpu_seconds, clock.epoch_seconds) == before
    assert len(clock.epoch_seconds) == 3


def test_a_line_per_epoch_marks_the_best(module, datamodule, make_trainer, caplog):
    caplog.set_level(logging.INFO, logger="missrec_pl.callbacks.records")
    lines, stopping = EpochLines(), EarlyStopping("val/ndcg@5", mode="max")
    trainer = make_trainer(lines, stopping, InterestRefresh(), max_epochs=2, num_sanity_val_steps=0)
    trainer.fit(module, datamodule=datamodule)
    first, second = [record.message for record in caplog.records if record.name.endswith("records")]
    assert first.startswith("epoch 0: train/loss")
    assert first.endswith(" *")
    assert "val/ndcg@5" in second
    assert f"(best {lines.best['val/ndcg@5']:.4f})" in second
    assert set(lines.best) == {name for name in trainer.callback_metrics if name.startswith("val/")}


def test_the_best_epoch_is_that_of_the_kept_checkpoint(module, datamodule, make_trainer, tmp_path):
    lines = EpochLines()
    best = ModelCheckpoint(tmp_path, monitor="val/recall@5", mode="min")
    trainer = make_trainer(
        lines, EarlyStopping("val/ndcg@5", mode="max"), best, InterestRefresh(),
        max_epochs=3, num_sanity_val_steps=0, enable_checkpointing=True,
    )  # fmt: skip
    trainer.fit(module, datamodule=datamodule)
    assert lines.best["val/recall@5"] == pytest.approx(float(best.best_model_score))


def test_seconds_of_refreshes_before_a_resume_count(module, datamodule, make_trainer, tmp_path):
    refresh, file = InterestRefresh(), tmp_path / "last.ckpt"
    settings = {"num_sanity_val_steps": 0, "enable_checkpointing": True}
    trainer = make_trainer(refresh, LastCheckpoint(str(tmp_path)), max_epochs=1, **settings)
    trainer.fit(module, datamodule=datamodule)
    assert len(refresh.seconds) == 1
    trainer.test(module, datamodule=datamodule, ckpt_path=file, weights_only=True, verbose=False)
    assert len(refresh.seconds) == 1
    resumed = InterestRefresh()
    again = make_trainer(resumed, LastCheckpoint(str(tmp_path)), max_epochs=2, **settings)
    again.fit(module, datamodule=datamodule, ckpt_path=file, weights_only=True)
    assert len(resumed.seconds) == 2
    assert resumed.seconds[0] == refresh.seconds[0]
