"""A resumed run is the run that was never interrupted."""

import csv
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from interruptions import stop_at
from runs import tiny

from missrec_pl.errors import CheckpointError, StoppedError
from missrec_pl.experiment.train import train


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
        pytest.param(("setting=transductive", "model=missrec", "model.collaborative=8"), marks=pytest.mark.slow),
        ("phase=pretrain", "objective=missrec"),
        pytest.param(("data.num_workers=1",), marks=pytest.mark.slow),
        pytest.param(("interest.every_n_epochs=2", "interest=kmeans"), marks=pytest.mark.slow),
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


MIDWAY = ("data.batch_size=128", "trainer.max_epochs=3")


@pytest.mark.parametrize(
    ("overrides", "epoch", "batch"),
    [
        (("model=missrec_tuned", "data.num_folds=2"), 1, 1),
        pytest.param(("setting=transductive", "model=missrec"), 0, 0, marks=pytest.mark.slow),
        pytest.param(("phase=pretrain", "objective=missrec"), 1, 2, marks=pytest.mark.slow),
        pytest.param(("data.num_workers=1", "features=host"), 2, 1, marks=pytest.mark.slow),
        pytest.param(("trainer.accumulate_grad_batches=2",), 1, 1, marks=pytest.mark.slow),
        pytest.param(
            ("callbacks.early_stopping.patience=1", "optim.optimizer.lr=1.0"), 1, 1, marks=pytest.mark.slow
        ),
    ],
    ids=["tuned", "transductive", "pretrain", "workers", "accumulated", "stopping"],
)
def test_resume_within_an_epoch_equals_uninterrupted(overrides, epoch, batch, shared, request):
    """Sampler position, means of the epoch, curves, early stopping: to the last bit, in the run's own folder."""
    name = f"within-{request.node.callspec.id}"
    straight = train(tiny(shared, *overrides, *MIDWAY, name=f"{name}-straight"))
    with pytest.raises(StoppedError, match=f"saved .*last.ckpt at epoch {epoch}, batch"):
        train(tiny(shared, *overrides, *MIDWAY, stop_at(epoch, batch), name=name))
    assert not (shared / name / "results.json").exists()
    resumed = train(tiny(shared, *overrides, *MIDWAY, "resume=last", name=name))
    assert resumed["metrics"] == straight["metrics"]
    assert_same_weights(weights(shared / name), weights(shared / f"{name}-straight"))
    assert curve(shared / name) == curve(shared / f"{name}-straight")
    assert len(resumed["timing"]["epoch_s"]) == len(straight["timing"]["epoch_s"])


def curve(folder):
    """The rows of the CSV without what is measured in seconds."""
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)]


def test_resume_last_starts_a_run_that_has_no_checkpoint_yet(shared, finetuned, caplog):
    caplog.set_level("INFO", "missrec_pl")
    results = train(tiny(shared, "resume=last", name="first-start"))
    assert "there is no checkpoint in" in caplog.text
    assert results["metrics"] == finetuned[1]["metrics"]


@pytest.mark.slow
def test_a_run_from_ckpt_resumes_as_what_it_is(pretrained, shared):
    """One command starts and continues it; ckpt's weights are loaded once, its recipe holds throughout."""
    command = (f"ckpt={pretrained[0] / 'checkpoints/best.ckpt'}", *MIDWAY, "resume=last")
    straight = train(tiny(shared, *command, name="tuned-straight"))
    with pytest.raises(StoppedError):
        train(tiny(shared, *command, stop_at(1, 0), name="tuned"))
    resumed = train(tiny(shared, *command, name="tuned"))
    assert (resumed["init"], resumed["ckpt"]) == ("pretrained", straight["ckpt"])
    assert resumed["ckpt_origin"]["phase"] == "pretrain"
    assert resumed["metrics"] == straight["metrics"]
    named = f"resume={shared / 'tuned'}"  # the folder alone says which recipe it was
    again = train(tiny(shared, *MIDWAY, named, name="tuned-again"))
    assert again["num_trainable_params"] == straight["num_trainable_params"]
    assert again["metrics"] == straight["metrics"]


@pytest.mark.parametrize("kind", ["truncated", "flipped"])
def test_a_damaged_checkpoint_is_skipped_for_the_one_before(kind, two_epochs, shared, caplog):
    folder = Path(shutil.copytree(two_epochs[0], shared / f"damaged-{kind}"))
    last = folder / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    if kind == "truncated":
        del content[-1000:]
    else:
        with zipfile.ZipFile(last) as archive:  # between entries there are bytes that say nothing
            largest = max(archive.infolist(), key=lambda entry: entry.file_size)
        content[largest.header_offset + largest.file_size // 2 + 100] ^= 1
    last.write_bytes(content)
    caplog.set_level("INFO", "missrec_pl")
    resumed = train(tiny(shared, "trainer.max_epochs=2", "resume=last", name=folder.name))
    assert f"{last} is damaged" in caplog.text
    assert f"continuing from {folder / 'checkpoints' / 'previous.ckpt'}" in caplog.text
    assert resumed["metrics"] == two_epochs[1]["metrics"]
    assert_same_weights(weights(folder), weights(two_epochs[0]))


def test_nothing_whole_to_resume_from(two_epochs, shared):
    folder = Path(shutil.copytree(two_epochs[0], shared / "all-damaged"))
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / "checkpoints" / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"last.ckpt and .*previous.ckpt are damaged; start again"):
        train(tiny(shared, "trainer.max_epochs=3", "resume=last", name=folder.name))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["phase=pretrain"], "phase=finetune, this one has pretrain"),
        (["setting=transductive"], "setting=inductive, this one has transductive"),
        (["model=missrec"], "holds a MISSRecReleased, but the config builds a MISSRec"),
        (["model.inner_size=64"], "has other sizes than this run"),
        (["data.modalities=[image,text]"], r"data.modalities=\[text,image\], this one has \[image,text\]"),
        (["data.by_phase.finetune.first=2"], "is of a run on synthetic_3, this one reads synthetic_2"),
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
