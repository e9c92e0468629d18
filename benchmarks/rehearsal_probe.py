"""What `rehearsal.py` puts into a run to measure it: a watch on the memory and a callback."""

import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.profilers import SimpleProfiler

PACE = 0.02  # seconds between two looks at the memory


WAITING = ("[_TrainingEpochLoop].train_dataloader_next", "[Strategy]SingleDeviceStrategy.batch_to_device")


class QuietProfiler(SimpleProfiler):
    """Lightning's clocks without the table at the end."""

    def describe(self) -> None:
        pass


class Memory(threading.Thread):
    """Largest resident and anonymous memory of this process in each phase, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.phase = "start"
        self.peak: dict[str, dict[str, float]] = defaultdict(lambda: {"rss": 0.0, "anon": 0.0})

    def run(self) -> None:
        while True:
            self.look()
            time.sleep(PACE)

    def look(self) -> None:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        peak = self.peak[self.phase]
        for name, field in (("rss", "VmRSS"), ("anon", "RssAnon")):
            peak[name] = max(peak[name], int(fields[field].split()[0]) / 1024)
        self.largest = int(fields["VmHWM"].split()[0]) / 1024

    def enter(self, phase: str) -> None:
        self.look()
        self.phase = phase
        self.look()


class Probe(L.Callback):
    """Notes when steps begin and end; the config puts it after the interest refresh."""

    memory = Memory()
    started = time.time()
    report: dict[str, Any]

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []
        self.losses: list[float] = []

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.memory.enter("refresh")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.memory.enter("steps")

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if not self.ends:
            self.first = (time.time() - self.started, time.process_time())

    def on_train_batch_end(self, trainer: L.Trainer, module: Any, outputs: Any, batch: Any, number: int) -> None:
        self.ends.append((time.perf_counter(), time.process_time()))
        self.losses.append(float(outputs["loss"]))
        self.items = len(batch.items.ids)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.memory.look()
        wall, cpu = (last - first for first, last in zip(self.ends[0], self.ends[-1], strict=True))
        refresh = next(c.seconds[0] for c in trainer.callbacks if hasattr(c, "seconds"))
        steps = len(self.ends) - 1
        waited = sum(sum(trainer.profiler.recorded_durations[name][1 : steps + 1]) for name in WAITING)
        rows = trainer.datamodule.batch_size
        Probe.report = {
            "start_s": self.first[0] - refresh,
            "start_and_refresh_cpu_s": self.first[1],
            "refresh_s": refresh,
            "step_s": wall / steps,
            "step_cpu_s": cpu / steps,
            "samples_per_s": rows * steps / wall,
            "waiting": waited / wall,
            "wait_ms": 1000 * waited / steps,
            "items_of_a_batch": self.items,
            "loss": [round(self.losses[0], 3), round(self.losses[-1], 3)],
            "rss": self.memory.largest,
            "anon": max(peak["anon"] for peak in self.memory.peak.values()),
            "phases": dict(self.memory.peak),
        }
