"""Options of Lightning's Trainer: each does what it says, or is refused in one line."""

import inspect
import json

import lightning as L
import pytest
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from runs import tiny

from missrec_pl.config.trainer_options import SET_BY_THE_PROGRAM, settled_trainer
from missrec_pl.config.validation import validate_config
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.experiment.messages import lines_of
from missrec_pl.experiment.train import train

WORKS = {
    "accelerator": "cpu",
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
    "precision": "32-true",
    "fast_dev_run": "true",
    "max_epochs": 1,
    "min_epochs": 1,
    "max_steps": 1,
    "min_steps": 1,
    "max_time": "{minutes: 5}",
    "limit_train_batches": 0.01,
    "limit_val_batches": 0.01,
    "limit_test_batches": 0.01,
    "overfit_batches": 1,
    "val_check_interval": 0.5,
    "check_val_every_n_epoch": 1,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 1,
    "enable_model_summary": "true",
    "accumulate_grad_batches": 10,
    "gradient_clip_val": 0.5,
    "gradient_clip_algorithm": "norm",
    "deterministic": "true",
    "benchmark": "false",
    "inference_mode": "false",
    "profiler": "simple",
    "detect_anomaly": "true",
    "plugins": "[]",
    "sync_batchnorm": "false",
    "default_root_dir": ".",
}
# What changes which steps are done has a run to itself; the others are given together.
ALONE = (
    *("fast_dev_run", "max_steps", "max_time", "limit_train_batches", "limit_val_batches", "limit_test_batches"),
    *("overfit_batches", "val_check_interval", "profiler"),
)
REFUSED = {
    "limit_train_batches=0": "nothing would train; say train=false",
    "limit_test_batches=0": "nobody would be tested; say test=false",
    "limit_val_batches=0": "trainer.limit_val_batches=0 validates nobody; add callbacks=no_validation",
    "check_val_every_n_epoch=5": "check_val_every_n_epoch=5 with trainer.max_epochs=1 validates nobody",
    "overfit_batches=0.5": "must be a number of batches",
}
BY_BATCHES = "trainer.check_val_every_n_epoch=null"
FEW = ("data.source.num_users=40", "baselines.names=[popularity]")


def test_every_argument_of_lightnings_trainer_is_sorted():
    """A new one has to be tried before it counts as working."""
    assert set(inspect.signature(L.Trainer).parameters) == WORKS.keys() | SET_BY_THE_PROGRAM.keys()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("options")


@pytest.mark.parametrize("name", ["together", *ALONE])
def test_an_option_works(name, folder):
    options = [name] if name in WORKS else [option for option in WORKS if option not in ALONE]
    said = [f"++trainer.{option}={WORKS[option]}" for option in options]
    results = train(tiny(folder, "+" + FEW[0], FEW[1], *said, name=name))
    assert 0 < results["metrics"]["test/mrr"] <= 1
    assert results["num_evaluated_users"] == results["num_test_users"]
    assert (folder / name / "results.json").is_file()


@pytest.mark.parametrize("option", SET_BY_THE_PROGRAM)
def test_what_the_program_sets_is_refused_with_the_flag_that_does_it(option, tmp_path):
    with pytest.raises(ConfigError, match=f"^trainer.{option}=1: the program sets it itself; "):
        validate_config(tiny(tmp_path, f"++trainer.{option}=1"))
    with pytest.raises(ConfigCompositionException) as caught:  # typed without the signs that add a key
        tiny(tmp_path, f"trainer.{option}=1")
    assert lines_of(caught.value) == [
        f"trainer.{option}: the program sets it itself; {SET_BY_THE_PROGRAM[option]}."
    ]


@pytest.mark.parametrize("option", REFUSED)
def test_what_leaves_nothing_to_do_is_refused(option, tmp_path):
    with pytest.raises(ConfigError, match=REFUSED[option]):
        validate_config(tiny(tmp_path, f"++trainer.{option}"))


def test_an_error_of_lightning_about_its_options_is_one_line(folder):
    cfg = tiny(folder, *("++" + one for one in FEW[:1]), "trainer.val_check_interval=1000", name="beyond")
    with pytest.raises(ConfigError, match=r"^trainer: `val_check_interval` .1000. must be") as caught:
        train(cfg)
    assert "\n" not in str(caught.value)
    assert "`limit_val_batches`" not in str(caught.value)  # that is refused here, if nothing else is said


@pytest.mark.parametrize(
    ("advised", "validated"),
    [(("trainer.limit_val_batches=0", "callbacks=no_validation"), 0), (("trainer.max_epochs=2", BY_BATCHES), 1)],
)
def test_what_that_error_advises_works(advised, validated, folder):
    words = (f"+{FEW[0]}", "baselines.names=[]", "data.batch_size=64", "trainer.val_check_interval=5")
    results = train(tiny(folder, *words, *advised, "test=false", name=f"advised-{validated}"))
    assert bool(results["metrics"].get("val/mrr")) is bool(validated)


@pytest.mark.parametrize("prefix", ["", "++"])
def test_options_are_said_as_in_other_templates(prefix, tmp_path):
    cfg = tiny(tmp_path, f"{prefix}trainer.overfit_batches=3", f"{prefix}trainer.strategy=ddp_spawn")
    validate_config(cfg)
    lines = settled_trainer(cfg)
    assert cfg.trainer.strategy == "ddp"
    assert cfg.data.overfit_rows == 3 * cfg.data.batch_size
    assert len(lines) == 2


def test_a_run_without_checkpoints_tests_its_last_weights(folder, caplog):
    off = ("callbacks.model_checkpoint=null", "callbacks.last_checkpoint=null")
    results = train(tiny(folder, "+" + FEW[0], FEW[1], *off, name="without"))
    assert results["checkpoint"] is None
    assert results["trained"]
    assert "the weights at its end are tested" in caplog.text


def test_only_testing_a_checkpoint_gives_its_metrics(folder):
    said = ("+" + FEW[0], FEW[1])
    trained = train(tiny(folder, *said, name="trained"))
    checkpoint = folder / "trained" / "checkpoints" / "best.ckpt"
    tested = train(tiny(folder, *said, "train=false", f"ckpt={checkpoint}", name="tested"))
    assert not tested["trained"]
    assert not tested["timing"]["fit_s"]
    scores = {name: value for name, value in trained["metrics"].items() if name.startswith("test/")}
    assert tested["metrics"] == scores
    assert (tested["init"], tested["ckpt"]) == ("scratch", None)
    unknown = tiny(folder, *said, "train=false", "setting=transductive", f"ckpt={checkpoint}", name="unknown")
    with pytest.raises(CheckpointError, match=r"was not trained for this data: .* would be random"):
        train(unknown)


def test_a_part_of_the_users_is_told_and_the_baselines_rank_the_same_users(folder):
    said = ("+" + FEW[0], "baselines.names=[popularity]", "data.eval_batch_size=8")
    whole = train(tiny(folder, *said, name="whole"))
    part = train(tiny(folder, *said, "trainer.limit_test_batches=1", name="part"))
    assert part["num_evaluated_users"] == 8
    assert part["num_test_users"] == whole["num_evaluated_users"] == whole["num_test_users"]
    assert part["baselines"] != whole["baselines"]
    recall = part["baselines"]["popularity"]["test/recall@10"] * 8
    assert recall == pytest.approx(round(recall))
    assert json.loads((folder / "part" / "results.json").read_text())["num_evaluated_users"] == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("train=false",), "train=false: tests a checkpoint; give ckpt"),
        (("train=false", "test=false"), "train=false test=false: leaves nothing to do|tests a checkpoint"),
        (("optimized_metric=train/loss",), "optimized_metric=train/loss: is not measured"),
        (("callbacks.early_stopping.monitor=train/loss",), "early_stopping.mode=max: train/loss is a loss"),
        (("callbacks.model_checkpoint.mode=min",), "model_checkpoint.mode=min: val/ndcg@10 is a score, the more"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        validate_config(tiny(tmp_path, *flags))


def test_a_callback_with_numbered_options_is_built(folder):
    callback = "{_target_: lightning.pytorch.callbacks.GradientAccumulationScheduler, scheduling: {0: 2}}"
    cfg = tiny(folder, "+" + FEW[0], FEW[1], "test=false", name="scheduled")
    OmegaConf.set_struct(cfg, False)
    cfg.callbacks.scheduler = OmegaConf.create(callback)
    train(cfg)
