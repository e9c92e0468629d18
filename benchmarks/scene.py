"""What the benchmarks of steps share: the framework's parts set up as in a run, clocks, memory, processes."""

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.experiment import building

ROOT = Path(__file__).resolve().parents[1]


class Placed:
    """A data module whose training batches come to a device, as a trainer would have it.

    Args:
        datamodule: set up.
        device: where batches go.
    """

    def __init__(self, datamodule: Any, device: torch.device) -> None:
        self.datamodule = datamodule
        self.device = device
        epoch = SimpleNamespace(current=SimpleNamespace(processed=0))
        progress = SimpleNamespace(epoch_progress=epoch, restarting=False)
        self.trainer: Any = SimpleNamespace(
            datamodule=datamodule, training=True, global_rank=0, world_size=1, fit_loop=progress
        )
        datamodule.trainer = self.trainer

    def on_device(self, batch: Any) -> Any:
        """A batch with its features."""
        return self.datamodule.on_after_batch_transfer(
            self.datamodule.transfer_batch_to_device(batch, self.device, 0), 0
        )

    def next_batch(self, loader: Iterator[Any]) -> Any:
        """The loader's next batch with its features."""
        return self.on_device(next(loader))


class Scene(Placed):
    """Data module, network and module of a composed run on a device, with random tokens as interests.

    Args:
        overrides: of ``configs/train.yaml``.
        device: where the network is.
    """

    def __init__(self, *overrides: str, device: str = "cpu") -> None:
        with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
            self.cfg = compose("train", overrides=["paths.output_dir=/nowhere", "interest=random", *overrides])
        torch.manual_seed(0)
        super().__init__(building.build_datamodule(self.cfg), torch.device(device))
        self.module = building.build_module(self.cfg, self.datamodule).to(device)
        self.model = self.module.model
        self.module.log_losses = lambda *_: None
        self.module.trainer = self.trainer
        fitting = InterestRefresh()
        fitting.setup(self.trainer, self.module, "fit")
        fitting.refresh(self.trainer, self.module)

    def learn(self, batch: Any, optimizer: torch.optim.Optimizer, *, half: bool = False) -> torch.Tensor:
        """One step on a batch that is on the device, in bfloat16 where autocast takes it."""
        optimizer.zero_grad()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
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
    """VmHWM starts again from here, without what the process has freed but keeps."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def in_a_process(script: str, **job: Any) -> dict[str, Any]:
    """What ``script --child JOB`` writes to the file ``job["answer"]``, so that peaks of memory do not mix."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        call = json.dumps({"answer": answer.name, **job})
        subprocess.run([sys.executable, script, "--child", call], check=True)
        report: dict[str, Any] = json.load(answer)
    return report


def options_of(
    doc: str | None, measure: Callable[[dict[str, Any]], dict[str, Any]], **options: dict[str, Any]
) -> argparse.Namespace:
    """What a script was called with. In :func:`in_a_process` the script ends here, with its answer. One thread.

    Args:
        doc: the script's description.
        measure: makes the answer of a job.
        options: what ``add_argument`` takes for each of the script's options.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, how in {**options, "child": {"help": argparse.SUPPRESS}}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", **how)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.child:
        job = json.loads(chosen.child)
        Path(job["answer"]).write_text(json.dumps(measure(job)))
        sys.exit()
    return chosen


def generated_data(
    doc: str | None, measure: Callable[[dict[str, Any]], dict[str, Any]], batch: int, steps: int, **options: Any
) -> tuple[argparse.Namespace, list[str]]:
    """As :func:`options_of`, on data of the paper's size, and a run's overrides; two options have own defaults."""
    sizes = {
        "cache": {"type": Path, "help": "folder for the generated data"},
        "scale": {"type": float, "default": 1.0, "help": "of the paper's counts"},
        "batch": {"type": int, "default": batch},
        "steps": {"type": int, "default": steps},
        "json": {"type": Path, "help": "also write the numbers there"},
    }
    chosen = options_of(doc, measure, **sizes, **options)
    if chosen.cache is None:
        sys.exit("--cache: name a folder with room for 0.85 GB")
    data = [f"paths.cache_dir={chosen.cache}", f"data.source.scale={chosen.scale}"]
    return chosen, [*data, f"data.batch_size={chosen.batch}"]


def machine() -> str:
    """Processor, cores, threads and versions, as a line for a table's head."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].partition(": ")[2] if names else "unknown CPU"
    return (
        f"{time.strftime('%Y-%m-%d')}, {cpu}, {len(names)} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, Python {sys.version.split()[0]}"
    )
