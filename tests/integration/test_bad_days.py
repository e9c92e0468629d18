"""What befalls a run that was going well: one line that says what was saved and how to go on."""

import errno
import json

import lightning as L
import pytest
import torch
from runs import run_cli, tiny

from missrec_pl.errors import DataError, RunError
from missrec_pl.experiment.failures import explained
from missrec_pl.experiment.train import train


class Trouble(L.Callback):
    """Raises at the second batch of the second epoch."""

    error: Exception

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == (1, 1):
            raise self.error


TROUBLE = "+callbacks.trouble={_target_: test_bad_days.Trouble}"
SHORT = ("data.batch_size=128", "trainer.max_epochs=2", "test=false")


def allocation_error():
    try:
        torch.empty(1 << 50)
    except RuntimeError as error:
        return error
    raise AssertionError("a petabyte of memory")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (allocation_error(), r"^out of memory at data.batch_size=128 .*Lower data.batch_size"),
        (DataError("features/text.npy is missing; prepare the domain again"), "^features/text.npy is missing"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "/data/text.npy"),
            "^/data/text.npy was there .* is gone",
        ),
        (OSError(errno.EROFS, "Read-only file system", "/out/csv"), "^/out/csv cannot be written .*Read-only"),
    ],
    ids=["memory", "lost features", "lost file", "read-only"],
)
def test_trouble_says_what_was_saved(error, message, shared, monkeypatch):
    monkeypatch.setattr(Trouble, "error", error, raising=False)
    folder = shared / "trouble"
    with pytest.raises(RunError, match=message) as told:
        train(tiny(shared, *SHORT, TROUBLE, name="trouble"))
    assert told.value.exit_code == 3
    assert f"Saved: {folder / 'checkpoints' / 'last.ckpt'} (epoch 0, step" in str(told.value)
    assert f"hydra.run.dir={folder} and resume=last" in str(told.value)
    assert len(str(told.value).splitlines()) == 1


def test_a_bug_stays_a_bug(shared, monkeypatch):
    monkeypatch.setattr(Trouble, "error", ZeroDivisionError("a bug"), raising=False)
    with pytest.raises(ZeroDivisionError):
        train(tiny(shared, *SHORT, TROUBLE, name="bug"))


def test_nan_names_the_step_and_the_items(shared):
    folder = shared / "diverged"
    with pytest.raises(RunError, match=r"epoch 0, batch 1, step 1: the loss is .*Nothing was saved yet") as told:
        train(tiny(shared, *SHORT, "optim.optimizer.lr=1e25", "optim.scorer_lr=1e25", name="diverged"))
    assert str(folder / "nan_batch.json") in str(told.value)
    content = json.loads((folder / "nan_batch.json").read_text())
    assert content["parameters"]
    assert 64 < len(content["rows"]) <= 128
    row = content["rows"][0]
    assert row["domain"] == "synthetic_3"
    assert row["target"]
    assert "" not in row["history"]  # no padding
    assert f"synthetic_3/{row['target']}" in str(told.value)


def test_a_full_disk_leaves_the_checkpoint_before(shared):
    folder = shared / "full"
    train(tiny(shared, *SHORT, name="full"))
    before = (folder / "checkpoints" / "last.ckpt").read_bytes()
    (folder / "checkpoints" / ".last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"^the disk is full: .*No space left.*Saved: .*\(epoch 1, step") as told:
        train(tiny(shared, *SHORT, "trainer.max_epochs=3", "resume=last", name="full"))
    assert told.value.exit_code == 3
    assert (folder / "checkpoints" / "last.ckpt").read_bytes() == before


def test_mistakes_found_before_the_first_step_are_the_users(tmp_path):
    class Unstarted:
        global_step = 0

    with pytest.raises(DataError), explained(Unstarted(), str(tmp_path), 1):
        raise DataError("the training split is empty")


@pytest.mark.slow
def test_an_output_folder_that_cannot_be_made(tmp_path):
    run = run_cli("data=synthetic", "hydra.run.dir=/proc/no/run", f"paths.cache_dir={tmp_path}")
    assert run.returncode == 2
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith("error: hydra.run.dir=/proc/no/run: cannot be made (")
