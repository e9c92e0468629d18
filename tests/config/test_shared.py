"""What is handed to loggers names no place of this machine and no value of its environment."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from missrec_pl.config.shared import shared_config
from missrec_pl.errors import ConfigError
from missrec_pl.loggers.cleaning import without_paths
from missrec_pl.loggers.wandb import WandbLogger


class Run:
    """A W&B run that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: dict[str, object] = {}
        self.config = self

    def update(self, values: dict[str, object], **options: object) -> None:
        self.sent |= values


def test_what_wandb_gets_names_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PLACE", "quite-secret-value")
    monkeypatch.setenv("SHOP_NUMBER", "7")
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")
    monkeypatch.chdir(tmp_path)
    cfg = OmegaConf.create(
        {
            "secret": "${oc.env:SHOP_PLACE}",
            "again": "run-${secret}",
            "number": "${oc.decode:${oc.env:SHOP_NUMBER}}",
            "fallback": "${oc.env:NOT_THERE,/etc/fallback}",
            "key": "x0123456789abcdef",
            "paths": {
                "data_dir": str(tmp_path / "data"),
                "spaced": "/home/my name/data",
                "windows": "C:\\data\\shop",
            },
            "words": [f"paths.data_dir={tmp_path}", "ckpt=/a/b.ckpt", "x=[/a/b,/c/d]", f"file://{tmp_path}/x"],
            "home": f"{Path.home()}/x",
            "kept": ["a/b", "https://host/a", 7, 0.5, None, "seed=1", "train/loss"],
        }
    )
    run, one = Run(), WandbLogger(save_dir=str(tmp_path), offline=True)
    one._experiment = run
    one.log_hyperparams(shared_config(cfg))
    sent = json.dumps(run.sent)
    for told in (
        "quite-secret",
        "0123456789abcdef",
        str(tmp_path),
        str(Path.home()),
        "/etc",
        "/home",
        "C:",
        "/a/b",
    ):
        assert told not in sent.replace("https://host/a", "").replace('"a/b"', "")
    assert run.sent["number"] == "${oc.decode:${oc.env:SHOP_NUMBER}}"
    assert run.sent["again"] == "run-${secret}"
    assert run.sent["paths"] == {"data_dir": "data", "spaced": "data", "windows": "shop"}
    assert run.sent["kept"] == ["a/b", "https://host/a", 7, 0.5, None, "seed=1", "train/loss"]
    settings = one._wandb_init["settings"]
    assert (settings["console"], settings["x_disable_meta"]) == ("off", True)


def test_checkpoints_are_not_uploaded() -> None:
    with pytest.raises(ConfigError, match="log_model"):
        WandbLogger(log_model="all", offline=True)


def test_paths_within_texts() -> None:
    assert without_paths({"/a/b": "see /c/d.txt, please"}) == {"b": "see d.txt, please"}
