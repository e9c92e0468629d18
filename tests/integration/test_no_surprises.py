"""Nothing leaves the machine, nothing but the config gets into a checkpoint, one process speaks."""

import getpass
import os
import pickletools
import socket
import zipfile

import pytest
from runs import tiny

from missrec_pl.config.validation import validate_config
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.train import train
from missrec_pl.system.launched import RANKS, is_first_process


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


@pytest.mark.parametrize("logger", ["wandb", "many"])
def test_wandb_without_a_key_is_refused_before_anything_starts(logger, no_key, tmp_path):
    with pytest.raises(ConfigError, match=r"logger=wandb: there is no W&B key .*WANDB_MODE=offline"):
        train(tiny(tmp_path, f"logger={logger}"))
    assert not (tmp_path / "run").exists()


def test_wandb_with_a_key_or_offline_is_fine(no_key, tmp_path, monkeypatch):
    cfg = tiny(tmp_path, "logger=wandb")
    no_key.write_text("machine other.example login user password x\n")
    with pytest.raises(ConfigError):
        validate_config(cfg)
    no_key.write_text("machine api.wandb.ai login user password x\n")
    validate_config(cfg)
    no_key.unlink()
    validate_config(tiny(tmp_path, "logger=wandb", "+logger.wandb.offline=true"))
    validate_config(tiny(tmp_path, "logger=csv"))
    for name, value in (("WANDB_API_KEY", "x"), ("WANDB_MODE", "offline")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            validate_config(cfg)


def test_a_run_asks_no_other_machine_and_keeps_the_environment_to_itself(tmp_path, monkeypatch):
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments[-1])
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("MY_SECRET", "correct-horse-battery")
    said = ["+note=${oc.env:MY_SECRET}", "+trainer.limit_train_batches=1"]
    monkeypatch.setattr("missrec_pl.experiment.train.command", lambda: {"overrides": said})
    results = train(tiny(tmp_path, *said))
    assert results["overrides"] == said
    assert asked == []
    assert "correct-horse" not in (tmp_path / "run" / "results.json").read_text()
    for name in ("best.ckpt", "last.ckpt"):
        with zipfile.ZipFile(tmp_path / "run" / "checkpoints" / name) as archive:
            (pickled,) = [archive.read(entry) for entry in archive.namelist() if entry.endswith("data.pkl")]
        # The texts alone: numbers between them may spell anything.
        texts = "\n".join(word for _, word, _ in pickletools.genops(pickled) if isinstance(word, str))
        assert "missrec_pl" in texts
        for private in (
            "correct-horse-battery",
            os.environ["PATH"],
            socket.gethostname(),
            f"/{getpass.getuser()}/.",
        ):
            assert private not in texts
        # The config says where the run lies; the callbacks' state does not say it again.
        assert texts.count(str(tmp_path / "run")) == 1


def test_the_first_process_of_all_nodes_speaks(monkeypatch):
    for name in RANKS:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    for name in RANKS:
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert not is_first_process()
            patch.setenv(name, "0")
            assert is_first_process()
