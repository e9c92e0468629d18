"""Epoch after epoch with interest refreshes, validation and checkpoints: does memory stay flat?

python benchmarks/soak.py --minutes 60      # exit code 1 if the last epochs need 5 % more than the first
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import lightning as L
import psutil
from hydra import compose, initialize_config_dir

from missrec_pl.config.validation import validate_config
from missrec_pl.experiment import building
from missrec_pl.experiment.cli import _quieten
from missrec_pl.experiment.trainer import build_trainer

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
TOLERANCE = 1.05
WARM_UP = 3  # epochs until allocators and caches have what they need


class Memory(L.Callback):
    """Resident memory after every epoch, in MB."""

    def __init__(self) -> None:
        self.rss: list[float] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.rss.append(psutil.Process().memory_info().rss / 1e6)


def soak(minutes: float, folder: Path, overrides: list[str]) -> list[float]:
    """Memory after each epoch of a run of so many minutes."""
    seconds = int(60 * minutes)
    fixed = [
        "data=synthetic", "trainer=cpu", "callbacks.progress=null", "callbacks.early_stopping=null", "test=false",
        "model.hidden_size=64", "model.num_heads=2", "model.inner_size=64", "trainer.max_epochs=-1",
        "+data.source.num_users=1000", "+data.source.num_items=600", "data.batch_size=512",
        f"+trainer.max_time=00:{seconds // 3600:02}:{seconds % 3600 // 60:02}:{seconds % 60:02}",
        "callbacks.last_checkpoint.every_n_steps=5",
        f"paths.output_dir={folder / 'run'}", f"paths.cache_dir={folder / 'cache'}",
    ]  # fmt: skip
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("train", overrides=[*fixed, *overrides])
    validate_config(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    datamodule = building.build_datamodule(cfg)
    module = building.build_module(cfg, datamodule)
    trainer, _ = build_trainer(cfg, datamodule)
    memory = Memory()
    trainer.callbacks.insert(0, memory)  # type: ignore[attr-defined]
    trainer.fit(module, datamodule=datamodule)
    return memory.rss


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("overrides", nargs="*", help="further overrides, e.g. phase=pretrain")
    arguments = parser.parse_args()
    _quieten()
    with tempfile.TemporaryDirectory() as folder:
        rss = soak(arguments.minutes, Path(folder), arguments.overrides)[WARM_UP:]
    if len(rss) < 10:
        print(f"only {len(rss)} epochs after the first {WARM_UP}: take more minutes")
        return 2
    share = max(1, len(rss) // 10)
    first, last = statistics.median(rss[:share]), statistics.median(rss[-share:])
    print(f"{len(rss)} epochs in {arguments.minutes:g} minutes after {WARM_UP} to warm up")
    print(f"resident memory: {first:.1f} MB at first, {last:.1f} MB at last ({last / first - 1:+.1%})")
    return int(last > TOLERANCE * first)


if __name__ == "__main__":
    sys.exit(main())
