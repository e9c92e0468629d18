"""What the benchmarks of steps share: the framework's parts set up as in a run, clocks, memory, processes."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from missrec_pl import building
from missrec_pl.callbacks import InterestRefresh
from missrec_pl.callbacks.interest_methods import RandomTokens

ROOT = Path(__file__).resolve().parents[1]


class Scene:
    """Data module, network and module of a composed run on a device, with random tokens as interests.

    Args:
        overrides: of ``configs/train.yaml``.
        device: where the network is.
    """

    def __init__(self, *overrides: str, device: str = "cpu") -> None:
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            self.cfg = compose("train", overrides=["paths.output_dir=/nowhere", *overrides])
        torch.manual_seed(0)
        self.datamodule = building.build_datamodule(self.cfg)
        self.model = building.build_model(self.cfg, self.datamodule)
        self.module = building.build_module(self.cfg, self.model).to(device)
        self.module.log_losses = lambda *_: None
        progress = SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0)))
        trainer: Any = SimpleNamespace(
            datamodule=self.datamodule, training=True, global_rank=0, world_size=1, fit_loop=progress
        )
        self.module.trainer = self.datamodule.trainer = trainer
        InterestRefresh(RandomTokens()).refresh(trainer, self.module)

    def on_device(self, batch: Any) -> Any:
        """A batch with its features, as a training step gets it."""
        moved = self.datamodule.transfer_batch_to_device(batch, self.module.device, 0)
        return self.datamodule.on_after_batch_transfer(moved, 0)

    def learn(self, batch: Any, optimizer: torch.optim.Optimizer) -> torch.Tensor:
        """One step on a batch that is on the device."""
        optimizer.zero_grad()
        loss: torch.Tensor = self.module.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        return loss.detach()


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def status_mb(field: str) -> float:
    """A line of this process's memory, e.g. VmRSS, or VmHWM for the largest so far."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def forget_peak() -> None:
    """VmHWM starts again from here."""
    Path("/proc/self/clear_refs").write_text("5")


def in_a_process(script: str, **job: Any) -> dict[str, Any]:
    """What ``script --child JOB`` writes to the file ``job["answer"]``, so that peaks of memory do not mix."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        call = json.dumps({"answer": answer.name, **job})
        subprocess.run([sys.executable, script, "--child", call], check=True)
        report: dict[str, Any] = json.load(answer)
    return report


def machine() -> str:
    """Processor, cores, threads and versions, as a line for a table's head."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].partition(": ")[2] if names else "unknown CPU"
    return (
        f"{time.strftime('%Y-%m-%d')}, {cpu}, {len(names)} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {sys.version.split()[0]}"
    )
