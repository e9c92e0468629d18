"""W&B where something happens: a failure, a stop, a resume, a folder that is closed, an artifact to start from."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from runs import CONFIGS, composed, tiny
from wandb_file import of_kind, records_of, summary_of

from missrec_pl.config.validation import validate_config
from missrec_pl.errors import CheckpointError, ConfigError, RunError, StoppedError
from missrec_pl.experiment.tracking.remote import fetched, settle_ckpt
from missrec_pl.loggers.facts import RunFacts
from missrec_pl.loggers.wandb import WandbLogger
from missrec_pl.loggers.wandb_artifacts import source_of

NAME = "team/shop/pretrain-a:best"


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A logger that has begun a run, offline."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    facts = RunFacts("finetune", "a-run", "a-group", (), None, {"seed": 1}, {}, "val/ndcg@10", tmp_path)

    def begin(**options):
        one = WandbLogger(save_dir=str(tmp_path), project="p", **options)
        one.begin(facts)
        return one

    return begin


def test_nan_is_told_and_the_run_has_failed(begun, tmp_path):
    begun().fail(RunError(f"epoch 1: the loss is nan and gradients hold NaN: all in {tmp_path}/nan_batch.json"))
    records = records_of(tmp_path)
    (alert,) = of_kind(records, "alert")
    assert (alert.title, alert.level) == ("a-run: the loss is no number any more", "ERROR")
    assert str(tmp_path) not in alert.text
    assert of_kind(records, "exit")[0].exit_code == 3
    assert summary_of(records)["end"] == "failed"


def test_a_run_that_a_sweep_stops_is_marked_and_no_failure(begun, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    begun().fail(StoppedError("stopped by SIGTERM; saved last.ckpt"))
    records = records_of(tmp_path)
    assert "stopped-by-sweep" in of_kind(records, "run")[-1].tags
    assert of_kind(records, "exit")[0].exit_code == 0
    assert not of_kind(records, "alert")
    assert not of_kind(records, "run")[0].run_group  # the sweep is the group


def test_a_continued_run_goes_by_the_note_of_its_folder(tmp_path):
    (tmp_path / "wandb_run.json").write_text(json.dumps({"id": "abc", "artifacts": {}}))
    shared = tmp_path / "shared"  # of many runs, as WANDB_DIR may be
    (shared / "wandb" / "offline-run-20260101_000000-other").mkdir(parents=True)
    one = WandbLogger(save_dir=str(shared), folder=str(tmp_path), offline=True)
    one.continue_from(5)
    assert (one.version, one._wandb_init["resume"]) == ("abc", "allow")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    taken = tmp_path / "file"
    taken.write_text("no folder")
    monkeypatch.setenv("WANDB_DIR", str(taken))
    cfg = composed("logger=wandb", f"paths.output_dir={tmp_path / 'run'}")
    with pytest.raises(ConfigError, match=r"file/wandb cannot be written .*WANDB_DIR"):
        WandbLogger(save_dir=cfg.logger.wandb.save_dir, offline=True)


@pytest.mark.parametrize("flag", ["artifacts", "alerts"])
def test_unknown_choices_are_refused(flag, tmp_path):
    with pytest.raises(ConfigError, match=f"logger.wandb.{flag}=.*a list of"):
        WandbLogger(save_dir=str(tmp_path), offline=True, **{flag: ["everything"]})


class Stub:
    """W&B's API with one artifact: it moves on to another version, or is damaged."""

    def __init__(self, file, sha256):
        self.file, self.version, self.downloads = file, "team/shop/pretrain-a:v3", 0
        self.metadata = {"sha256": sha256}

    def artifact(self, name, type):
        if name.partition(":")[0] != "team/shop/pretrain-a":
            raise ValueError(f"artifact membership '{name}' not found in '/home/me/x'")
        return SimpleNamespace(qualified_name=self.version, metadata=self.metadata, download=self.download)

    def download(self, root):
        self.downloads += 1
        Path(root).mkdir(parents=True)
        shutil.copy(self.file, f"{root}/best.ckpt")


@pytest.fixture
def server(tmp_path, monkeypatch):
    file = tmp_path / "kept.ckpt"
    file.write_bytes(b"weights")
    stub = Stub(file, hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr("wandb.Api", lambda: stub)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return stub


def test_a_checkpoint_is_fetched_once_and_its_origin_is_known(server, tmp_path):
    file = fetched(f"wandb:{NAME}", tmp_path / "cache")
    assert file.read_bytes() == b"weights"
    assert source_of(file) == "team/shop/pretrain-a:v3"
    assert fetched(f"wandb:{NAME}", tmp_path / "cache") == file
    assert fetched("wandb:team/shop/pretrain-a:v3", tmp_path / "cache") == file
    assert server.downloads == 1
    server.version = "team/shop/pretrain-a:v4"  # the alias has moved
    assert fetched(f"wandb:{NAME}", tmp_path / "cache") != file


def test_a_damaged_or_missing_artifact_is_refused(server, tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be fetched: artifact membership .* not found in 'x'"):
        fetched("wandb:team/shop/other:best", tmp_path / "cache")
    server.file.write_bytes(b"weight")
    with pytest.raises(CheckpointError, match="sha256 differs"):
        fetched(f"wandb:{NAME}", tmp_path / "cache")
    kept = [file for file in (tmp_path / "cache").rglob("best.ckpt") if not file.parent.name.startswith(".")]
    assert not kept


def test_how_an_artifact_is_named_is_checked_before_anything_is_built(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="is written wandb:ENTITY/PROJECT/NAME:ALIAS"):
        validate_config(tiny(tmp_path, "ckpt=wandb:project/name"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(ConfigError, match="only the server knows an alias"):
        validate_config(tiny(tmp_path, f"ckpt=wandb:{NAME}"))
    cfg = tiny(tmp_path, "ckpt=some/file.ckpt")
    settle_ckpt(cfg)
    assert cfg.ckpt == "some/file.ckpt"


def agents_command(**values):
    """The words of a run as W&B's agent makes them from the file."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    sweep = yaml.safe_load((CONFIGS / "wandb_sweep.yaml").read_text())
    drawn = {
        name: values.get(name, one.get("value", one.get("values", [one.get("min")])[0]))
        for name, one in sweep["parameters"].items()
    }
    made = create_sweep_command_args({"args": {name: {"value": value} for name, value in drawn.items()}})
    known = {**made, "env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    return [word for part in create_sweep_command(sweep["command"]) for word in known[part[2:-1]]], sweep


def test_what_an_agent_calls_is_a_config_that_works(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    words, sweep = agents_command()
    assert words[:3] == ["/usr/bin/env", "python", "train.py"]
    cfg = composed(*words[3:], "paths.output_dir=x")
    validate_config(cfg)
    assert cfg.test is False
    assert sweep["metric"] == {"name": "best/" + cfg.optimized_metric.removeprefix("val/"), "goal": "maximize"}
    assert list(cfg.data.modalities) == ["text"]
