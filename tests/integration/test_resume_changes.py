"""What a continued run does with a changed config: it is applied, or refused before anything trains."""

import shutil
from pathlib import Path

import pytest
import torch
from runs import tiny

from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.train import train

COSINE = "optim.scheduler={_target_: missrec_pl.modules.schedules.WarmupCosine, _partial_: true, warmup: 0.5}"
STEPS = "optim.scheduler={_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 2, gamma: 0.5}"
MORE = ("data.batch_size=256", "trainer.max_epochs=2", "test=false")


def stored(folder):
    return torch.load(Path(folder) / "checkpoints" / "last.ckpt", weights_only=True)


def groups(folder):
    return stored(folder)["optimizer_states"][0]["param_groups"]


@pytest.fixture(scope="module")
def halves(shared):
    """Makes one run of one epoch for each set of options, and continues it in a folder of its own."""
    made = {}

    def continued(*options, changed=(), name):
        if options not in made:
            made[options] = shared / f"half-{len(made)}"
            one = (*MORE, *options, "trainer.max_epochs=1")
            train(tiny(shared, *one, name=made[options].name))
        train(tiny(shared, *MORE, *options, *changed, f"resume={made[options]}", name=name))
        return shared / name

    return continued


@pytest.mark.parametrize("options", [("scorers=none",), ()], ids=["one group", "two groups"])
def test_changed_rates_decay_and_betas_are_the_optimisers(options, halves, shared, request):
    name = request.node.callspec.id.replace(" ", "-")
    same = halves(*options, name=f"{name}-same")
    changed = ("optim.optimizer.lr=0.01", "optim.optimizer.weight_decay=0.1", "+optim.optimizer.betas=[0.8,0.9]")
    other = halves(*options, changed=(*changed, "optim.scorer_lr=0.2"), name=f"{name}-other")
    assert len(groups(other)) == (1 if options else 2)
    network, *scorers = groups(other)
    assert (network["lr"], network["weight_decay"], list(network["betas"])) == (0.01, 0.1, [0.8, 0.9])
    assert [(group["lr"], group["weight_decay"]) for group in scorers] == [(0.2, 0.0)] * len(scorers)
    assert [group["lr"] for group in groups(same)] == [0.001, 0.03][: len(groups(same))]
    one, two = stored(same), stored(other)
    assert any(not torch.equal(one["state_dict"][key], two["state_dict"][key]) for key in one["state_dict"])
    steps = [{int(state["step"]) for state in run["optimizer_states"][0]["state"].values()} for run in (one, two)]
    assert steps[0] == steps[1]  # the state is the checkpoint's


@pytest.mark.parametrize(
    ("schedule", "changed"),
    [
        (COSINE, ("optim.optimizer.lr=0.01",)),
        (COSINE, ("optim.scheduler.warmup=0.1",)),
        (STEPS, ("optim.optimizer.lr=0.01", "+optim.optimizer.eps=1e-7")),
        (STEPS, ("optim.scheduler.gamma=0.9", "optim.scheduler.step_size=1")),
    ],
    ids=["cosine-lr", "cosine-warmup", "steps-lr", "steps-options"],
)
def test_a_schedule_takes_the_changed_rates_and_options(schedule, changed, halves, shared, request):
    """The rate is the one that a run with the changed options has after as many steps."""
    name = request.node.callspec.id
    straight = shared / f"{name}-straight"
    train(tiny(shared, *MORE, schedule, *changed, name=straight.name))
    resumed = halves(schedule, changed=changed, name=name)
    assert [one["lr"] for one in groups(resumed)] == [one["lr"] for one in groups(straight)]
    assert [one["initial_lr"] for one in groups(resumed)] == [one["initial_lr"] for one in groups(straight)]
    one, two = stored(halves(schedule, name=f"{name}-same"))["state_dict"], stored(resumed)["state_dict"]
    assert any(not torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("optim.optimizer._target_=torch.optim.SGD",), "state of one optimiser means nothing to another"),
        ((COSINE,), "optim.scheduler=None, this run has .*knows nothing of the steps"),
        (("+optim.optimizer.amsgrad=true",), "it needs max_exp_avg_sq of each weight"),
        (("finetune.from_scratch=[encoder]",), "finetune.parts=None, .*state of the weights that trained"),
        (("data.split=train_only", "callbacks=no_validation"), "data.split=.*fitted before training"),
        (("model.fusion_concentration=0.5",), "fusion_concentration=.*where training starts"),
        (
            ("optimized_metric=val/mrr",),
            "callbacks.early_stopping.monitor=val/ndcg@10, .*best so far is of another",
        ),
        (("callbacks=averaged",), "callbacks.weight_average=None, .*an average of the weights begins"),
    ],
    ids=["optimiser", "schedule on", "amsgrad", "parts", "split", "initial value", "score", "average"],
)
def test_what_cannot_be_applied_is_refused(changed, message, halves, shared, request):
    with pytest.raises(CheckpointError, match=message):
        halves(changed=changed, name="refused")


@pytest.mark.parametrize(
    "changed", ["optim.scheduler._target_=torch.optim.lr_scheduler.ConstantLR", "optim.scheduler=null"]
)
def test_another_schedule_or_none_is_refused(changed, halves):
    linear = "{_target_: torch.optim.lr_scheduler.LinearLR, _partial_: true, total_iters: 3}"
    with pytest.raises(CheckpointError, match=r"optim.scheduler.*knows nothing of the steps"):
        halves(f"optim.scheduler={linear}", changed=(changed,), name="refused")


def test_options_of_callbacks_are_applied_and_announced(halves, shared, caplog):
    """Lightning restores the patience of early stopping with its state."""
    changed = ("callbacks.early_stopping.patience=3", "+callbacks.early_stopping.min_delta=0.5")
    run = halves(changed=changed, name="patience")
    (state,) = [state for key, state in stored(run)["callbacks"].items() if key.startswith("EarlyStopping")]
    assert state["patience"] == 3
    told = [record.message for record in caplog.records if record.message.startswith("resume: callbacks.")]
    assert told == [
        "resume: callbacks.early_stopping.min_delta was None and is now 0.5",
        "resume: callbacks.early_stopping.patience was 10 and is now 3",
    ]


def snapshot(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


PATIENT = ("callbacks.early_stopping.patience=1", "optim.optimizer.lr=1.0", "trainer.max_epochs=20")


@pytest.fixture(scope="module")
def patient(shared):
    """Folder and results of a run that early stopping ended."""
    return shared / "stopped", train(tiny(shared, *PATIENT, name="stopped"))


@pytest.mark.parametrize("options", [(), PATIENT], ids=["finetuned", "patient"])
def test_a_run_that_has_ended_changes_no_file(options, shared, request):
    folder, first = request.getfixturevalue(request.node.callspec.id)
    name = shutil.copytree(folder, shared / f"ended-{request.node.callspec.id}").name
    before = snapshot(shared / name)
    assert train(tiny(shared, *options, "resume=last", name=name)) == first
    assert snapshot(shared / name) == before
    for changed in ("optim.optimizer.lr=0.5", "metrics.ks=[10]", "baselines.names=[ease]"):
        with pytest.raises(CheckpointError, match=r"has nothing left to train .* was .* is now"):
            train(tiny(shared, *options, "resume=last", changed, name=name))
    assert snapshot(shared / name) == before
    (shared / name / "results.json").unlink()  # killed before the test
    again = train(tiny(shared, *options, "resume=last", name=name))
    assert again["metrics"] == first["metrics"]
    assert len(again["timing"]["epoch_s"]) == len(first["timing"]["epoch_s"]) < 20
    assert (shared / name / "results.json").is_file()


def test_more_epochs_or_more_patience_go_on(finetuned, patient, shared):
    shutil.copytree(finetuned[0], shared / "longer")
    results = train(tiny(shared, "resume=last", "trainer.max_epochs=2", name="longer"))
    assert len(results["timing"]["epoch_s"]) == 2
    stopped, results = patient
    shutil.copytree(stopped, shared / "patient")
    more = ("callbacks.early_stopping.patience=2", "resume=last", "trainer.max_epochs=20")
    longer = train(tiny(shared, "optim.optimizer.lr=1.0", *more, name="patient"))
    assert len(longer["timing"]["epoch_s"]) > len(results["timing"]["epoch_s"])


def test_results_of_fewer_epochs_are_no_results(finetuned, shared):
    """A run that was continued to more epochs and killed before its test."""
    folder = Path(shutil.copytree(finetuned[0], shared / "stale"))
    train(tiny(shared, "resume=last", "trainer.max_epochs=2", name="stale"))
    shutil.copy(finetuned[0] / "results.json", folder / "results.json")
    results = train(tiny(shared, "resume=last", "trainer.max_epochs=2", name="stale"))
    assert len(results["timing"]["epoch_s"]) == 2
