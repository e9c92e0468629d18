"""Checkpoint files: whole or not there, the one before kept, damage noticed without unpickling."""

import errno
import zipfile

import pytest
import torch

from missrec_pl.callbacks import AtomicCheckpointIO
from missrec_pl.checkpoints.files import damage_of, keep_previous

CONTENT = {"state_dict": {"weight": torch.arange(1000.0)}, "epoch": 3}


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("not today")


@pytest.fixture
def written(tmp_path):
    file = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(CONTENT, file)
    return file


def test_a_checkpoint_comes_back_and_leaves_nothing_beside(written):
    content = AtomicCheckpointIO().load_checkpoint(written, weights_only=True)
    assert torch.equal(content["state_dict"]["weight"], CONTENT["state_dict"]["weight"])
    assert [file.name for file in written.parent.iterdir()] == ["last.ckpt"]
    assert damage_of(written) is None


def test_what_fails_midway_leaves_the_old_file(written):
    before = written.read_bytes()
    with pytest.raises(RuntimeError, match="not today"):
        AtomicCheckpointIO().save_checkpoint({**CONTENT, "late": Unpicklable()}, written)
    assert written.read_bytes() == before
    assert [file.name for file in written.parent.iterdir()] == ["last.ckpt"]


def test_a_full_disk_leaves_the_old_file(written):
    """/dev/full takes no byte, as a full disk."""
    before = written.read_bytes()
    (written.parent / ".last.ckpt.part").symlink_to("/dev/full")
    with pytest.raises(OSError) as full:
        AtomicCheckpointIO().save_checkpoint(CONTENT, written)
    assert full.value.errno == errno.ENOSPC
    assert written.read_bytes() == before


def test_the_one_before_is_kept(written):
    keep_previous(written.parent)
    assert written.is_file()  # at no moment is there no last.ckpt
    AtomicCheckpointIO().save_checkpoint({**CONTENT, "epoch": 4}, written)
    epochs = [torch.load(written.parent / name)["epoch"] for name in ("previous.ckpt", "last.ckpt")]
    assert epochs == [3, 4]


def test_the_one_before_is_kept_without_hard_links(written, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr("os.link", refuse)
    keep_previous(written.parent)
    assert (written.parent / "previous.ckpt").read_bytes() == written.read_bytes()


def test_nothing_to_keep_at_first(tmp_path):
    keep_previous(tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_truncation_and_every_changed_weight_is_noticed(written):
    content = written.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        written.write_bytes(content[:size])
        assert damage_of(written), size
    weight = content.index(torch.arange(4.0).numpy().tobytes())
    for at in range(weight, weight + 4000, 371):
        written.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        assert "checksum" in damage_of(written), at


def test_a_zip_bomb_is_not_unpacked(written):
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", b"\0" * 10_000_000)
    assert written.stat().st_size < 100_000
    assert damage_of(written) == "its entries are compressed, which torch never does"
