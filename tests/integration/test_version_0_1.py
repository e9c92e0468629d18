"""Checkpoints that version 0.1 wrote: they evaluate, start runs and go on as they did there, to its digits.

``version_0_1/*.ckpt`` are ``best.ckpt`` of two epochs, without optimiser states. ``stopped/`` is a run that was
stopped within an epoch, ``undisturbed.ckpt`` the ``last.ckpt`` of the same run without. The tensors of a file
share one storage, which makes it small. ``metrics.json`` is what version 0.1 printed.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from runs import composed, places

from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.checkpoints.versions import renamed_tensors
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.old_flags import modern_arguments
from missrec_pl.experiment.train import train

FOLDER = Path(__file__).parent / "version_0_1"
METRICS = json.loads((FOLDER / "metrics.json").read_text(encoding="utf-8"))
RUNS = {
    "transductive": ("setting=transductive",),
    "tuned": ("model=missrec_tuned", "model.collaborative=4", "setting=transductive", "data.user_folds=4"),
    "compat": (
        *("model=missrec_released", "model.compat=true"),
        *("interest=kmeans_released", "interest.num_prototypes=0.5"),
    ),
    "pretrain": ("setting=transductive",),
}
"""The commands of version 0.1 that went on from each checkpoint, in its words."""
DATA = (
    *("data=synthetic", "+data.source.num_users=20", "+data.source.num_items=24", "+data.source.num_interests=3"),
    *("+data.source.max_length=9", "+data.source.dims={text:4,image:3}", "data.max_history=6"),
    *("data.batch_size=16", "model.hidden_size=8", "model.num_heads=2", "model.inner_size=8"),
    *("trainer=cpu", "callbacks.progress=null", "baselines.names=[]"),
)
OLD_NAMES = ("adapters.", "interests.", "collaborative.", "history_bias.", "cooccurrence.", "content.")
ANNEALED = ("callbacks=annealed", "callbacks.progress=null", "trainer.max_epochs=3")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("version_0_1")


def file(name):
    return FOLDER / (f"{name}/checkpoints/last.ckpt" if name == "stopped" else f"{name}.ckpt")


def command(place, name, *overrides):
    arguments, _ = modern_arguments([*DATA, *overrides])
    return composed(*arguments, *places(place, name))


def same(found, expected):
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    return True


@pytest.mark.parametrize("name", RUNS)
def test_it_evaluates_to_the_same_metrics(name, place):
    cfg = composed(f"ckpt={file(name)}", "trainer=cpu", *places(place, f"eval-{name}"), config="eval")
    assert same(evaluate(cfg)["metrics"], METRICS[name]["evaluated"])


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_starts_from_it_has_the_same_metrics(name, place):
    overrides = (*RUNS[name], f"ckpt={file(name)}", "trainer.max_epochs=1")
    assert same(train(command(place, f"from-{name}", *overrides))["metrics"], METRICS[name]["started"])


def test_a_stopped_run_goes_on_to_the_same_weights(place, caplog):
    """Among them an average of the weights, and rates that know their place in the run; no option has changed."""
    folder = shutil.copytree(FOLDER / "stopped", place / "stopped")
    caplog.set_level("INFO", "missrec_pl")
    results = train(command(place, "resumed", *ANNEALED, f"resume={folder}"))
    assert same(results["metrics"], METRICS["stopped"]["resumed"])
    found, expected = (
        renamed_tensors(torch.load(one, weights_only=True)["state_dict"])
        for one in (place / "resumed" / "checkpoints" / "last.ckpt", file("undisturbed"))
    )
    assert found.keys() == expected.keys()
    for weight in found:
        torch.testing.assert_close(found[weight], expected[weight], rtol=1e-5, atol=1e-7)
    told = [line for line in caplog.messages if line.startswith("resume: ") and " is now " in line]
    assert [line for line in told if "callbacks.stop_at" not in line] == []  # what stopped it is not there now


def test_what_another_command_changes_is_said(place, caplog):
    folder = shutil.copytree(FOLDER / "stopped", place / "changed")
    caplog.set_level("INFO", "missrec_pl")
    train(command(place, "changing", *ANNEALED, f"resume={folder}", "optim.scorer_lr=0.02"))
    assert "resume: optim.scorer_lr was 0.03 and is now 0.02" in caplog.text


@pytest.mark.parametrize("name", [*RUNS, "stopped"])
def test_every_tensor_has_a_place_in_this_version(name):
    """A name that nobody maps would be left behind with no more than a line in the log."""
    checkpoint = read_checkpoint(file(name))
    stored = torch.load(file(name), weights_only=True)["state_dict"]
    assert len(checkpoint.weights) + len(checkpoint.scorers) == len(stored)
    assert not [name for name in checkpoint.weights if name.startswith(OLD_NAMES)]


def test_going_on_as_another_run_is_refused(place):
    with pytest.raises(CheckpointError, match=r"resume=.*last\.ckpt.* setting=inductive, this one has trans"):
        train(command(place, "other", "setting=transductive", f"resume={file('stopped')}", "trainer.max_epochs=3"))
