"""A resumed run is the run that was never interrupted."""

import shutil

import pytest
import torch
from runs import tiny

from missrec_pl.errors import CheckpointError
from missrec_pl.run import train


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.fixture(scope="module")
def two_epochs(shared):
    """Two epochs without interruption: folder and results."""
    return shared / "straight", train(tiny(shared, "trainer.max_epochs=2", name="straight"))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("setting=transductive", "model=missrec"),
        ("phase=pretrain", "objective=missrec"),
        ("data.num_workers=1",),
        ("interest.every_n_epochs=2", "interest=kmeans"),
    ],
    ids=["released", "transductive", "pretrain", "workers", "kmeans"],
)
def test_resume_equals_uninterrupted(overrides, shared, request):
    """Metrics and weights to the last bit: shuffles, dropout, augmentation, interests, optimiser state."""
    name = request.node.callspec.id
    straight = train(tiny(shared, *overrides, "trainer.max_epochs=2", name=f"{name}-straight"))
    train(tiny(shared, *overrides, "trainer.max_epochs=1", "test=false", name=f"{name}-half"))
    resume = f"resume={shared / f'{name}-half' / 'checkpoints/last.ckpt'}"
    resumed = train(tiny(shared, *overrides, "trainer.max_epochs=2", resume, name=f"{name}-resumed"))
    assert resumed["metrics"] == straight["metrics"]
    assert_same_weights(weights(shared / f"{name}-resumed"), weights(shared / f"{name}-straight"))


def test_dropout_differs_from_epoch_to_epoch(two_epochs, shared):
    """Seeding each epoch must not repeat the first epoch's draws."""
    one = train(tiny(shared, "trainer.max_epochs=1", "test=false", name="one"))
    assert one["metrics"]["val/mrr"] != two_epochs[1]["metrics"]["val/mrr"]


def test_best_epoch_before_the_interruption_stays_the_best(shared, tmp_path, caplog):
    """Also in another folder, and although the first run's folder was moved."""
    bad_lr = "optim.optimizer.lr=10.0"  # every further epoch is worse
    good = train(tiny(shared, "test=false", name="good"))
    moved = shutil.copytree(shared / "good", tmp_path / "moved")
    resume = f"resume={moved / 'checkpoints/last.ckpt'}"
    content = torch.load(moved / "checkpoints/last.ckpt", weights_only=True)
    for group in content["optimizer_states"][0]["param_groups"]:
        group["lr"] = 10.0
    torch.save(content, moved / "checkpoints/last.ckpt")
    cfg = tiny(tmp_path, bad_lr, "trainer.max_epochs=2", resume, name="later")
    cfg.paths.cache_dir = str(shared / "cache")
    caplog.set_level("INFO", "missrec_pl")
    later = train(cfg)
    assert f"(best {good['metrics']['val/ndcg@10']:.4f})" in caplog.text
    assert later["metrics"]["val/ndcg@10"] == good["metrics"]["val/ndcg@10"]
    assert torch.load(tmp_path / "later" / later["checkpoint"], weights_only=True)["epoch"] == 0


def test_resume_in_the_same_folder_keeps_the_first_curve(shared):
    train(tiny(shared, "test=false", name="same"))
    resume = f"resume={shared / 'same' / 'checkpoints/last.ckpt'}"
    train(tiny(shared, "trainer.max_epochs=2", resume, name="same"))
    assert sorted(file.name for file in (shared / "same" / "csv").glob("*.csv")) == [
        "metrics.csv",
        "metrics_before_resume_1.csv",
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["phase=pretrain"], "phase=finetune, this one has pretrain"),
        (["setting=transductive"], "setting=inductive, this one has transductive"),
        (["model=missrec"], "holds a MISSRecReleased, but the config builds a MISSRec"),
        (["model.inner_size=64"], "has other sizes than this run"),
        (["data.first_domain.finetune=2"], "is of a run on synthetic_3, this one reads synthetic_2"),
        (["trainer.max_epochs=1"], "has trained for 2 epochs already and trainer.max_epochs=1: raise it"),
    ],
)
def test_resume_as_another_run_is_refused(overrides, message, two_epochs, shared, tmp_path):
    resume = f"resume={two_epochs[0] / 'checkpoints/last.ckpt'}"
    cfg = tiny(tmp_path, "trainer.max_epochs=3", resume, *overrides)
    cfg.paths.cache_dir = str(shared / "cache")
    with pytest.raises(CheckpointError, match=message) as refused:
        train(cfg)
    assert "resume=" in str(refused.value)


def test_changed_values_are_said(two_epochs, shared, caplog):
    resume = f"resume={two_epochs[0] / 'checkpoints/last.ckpt'}"
    train(tiny(shared, "trainer.max_epochs=3", "data.batch_size=256", "test=false", resume, name="changed"))
    assert "resume: data.batch_size was 512 and is now 256" in caplog.text
