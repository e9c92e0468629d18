"""W&B with a key and no network: offline or an end before training, at once."""

import pytest

from missrec_pl.errors import ConfigError
from missrec_pl.loggers.wandb import WandbLogger


@pytest.fixture(autouse=True)
def closed_port(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")


def test_offline_by_default(tmp_path, caplog):
    logger = WandbLogger(save_dir=str(tmp_path), project="test")
    assert logger._offline
    assert "127.0.0.1:9 does not answer" in caplog.text


def test_stop_by_choice(tmp_path):
    with pytest.raises(ConfigError, match="does not answer: say WANDB_MODE=offline"):
        WandbLogger(save_dir=str(tmp_path), project="test", when_unreachable="stop")
