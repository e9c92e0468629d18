"""The parts of `gpu_suite.py`: what each of them checks or measures, and how long it may take."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

EPOCH_ROWS = 14_029_229 - 1_361_408
PRECISIONS = {"float32": ("highest", False), "tf32": ("high", False), "bf16": ("high", True)}
NAMES = {"false": "", "true": " compiled", "reduce-overhead": " graphs"}
ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]


class Part(NamedTuple):
    """A part of the suite: seconds that it may take, and what it does."""

    limit: float
    run: Callable[[argparse.Namespace], list[Row]]


def dpc_knn_is_exact(options: argparse.Namespace) -> list[Row]:
    """The tiled backend against the dense one, and the authors' arrays."""
    import numpy as np
    import torch

    from missrec_pl.clustering import dpc_knn

    tokens = torch.randn(600 if options.rehearse else 3000, 64, device=options.device)
    tiled, dense = (dpc_knn(tokens, 40, 9, backend=name) for name in ("tiled", "dense"))  # type: ignore[arg-type]
    rows = [_checked("tiled = dense", torch.equal(tiled.assignment, dense.assignment))]
    for file in sorted((ROOT / "tests" / "golden").glob("dpc_knn_*.npz")):
        with np.load(file) as arrays:
            golden = dict(arrays)
        found = dpc_knn(
            torch.from_numpy(golden["tokens"]).to(options.device), int(golden["K"]),
            golden["dist_nearest"].shape[1], backend="tiled", distance_scale="sqrt_dim", include_self=True,
        )  # fmt: skip
        rows.append(_checked(file.stem, np.allclose(found.density.cpu(), golden["density"], rtol=1e-5)))
    return rows


def steps_are_those_of_cpu(options: argparse.Namespace) -> list[Row]:
    """Loss and gradients of one step of each phase, on CPU with free shapes and on the device with fixed ones."""
    import operations
    import torch
    from scene import Scene

    from missrec_pl.callbacks import NanGuard
    from missrec_pl.system.shapes import fixed_shapes

    rows = []
    for phase, overrides in operations.PHASES.items():
        found = []
        for device in ("cpu", options.device):
            with tempfile.TemporaryDirectory() as cache, fixed_shapes(len(found) > 0):
                sizes = ("model.dropout=0.0", "data.batch_size=64", f"paths.cache_dir={cache}")
                scene = Scene("data=synthetic", *overrides, *sizes, device=device)
                scene.module.train()
                scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
                if scene.module.loss.views is not None:  # random numbers of two devices differ
                    scene.module.loss.views = lambda batch: (batch, batch)
                batch = scene.next_batch(iter(scene.datamodule.train_dataloader()))
                loss = operations.step_of(scene, batch, NanGuard("."))
                gradients = [p.grad.cpu() for p in scene.module.parameters() if p.grad is not None]
                found.append((float(loss), torch.nn.utils.get_total_norm(gradients).item()))
        worst = max(abs(one - other) / max(abs(one), 1e-6) for one, other in zip(*found, strict=True))
        rows.append(_checked(f"{phase}: step = CPU", worst <= 1e-4, difference=f"{worst:.1e}"))
    return rows


def processes_are_one(options: argparse.Namespace) -> list[Row]:
    """A run of all GPUs (on CPU: of two processes) against a run of one process."""
    import torch

    count = 2 if options.device == "cpu" else torch.cuda.device_count()
    trainer = "ddp_sim" if options.device == "cpu" else "ddp"
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        for number in (1, count):
            run = Path(folder, str(len(losses)))
            command = [
                sys.executable, str(ROOT / "train.py"), "data=synthetic", f"trainer={trainer}",
                "baselines.names=[]",
                f"trainer.devices={number}", "model.hidden_size=32", "model.num_heads=2",
                "model.dropout=0.0", "test=false", "trainer.max_epochs=1",
                "matmul_precision=highest", "callbacks.progress=null", f"paths.cache_dir={folder}/cache",
                f"hydra.run.dir={run}",
            ]  # fmt: skip
            subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
            losses.append(json.loads((run / "results.json").read_text())["metrics"]["val/ndcg@10"])
    return [_checked(f"{count} processes = 1", abs(losses[0] - losses[1]) <= 1e-3, scores=losses)]


def keops_in_a_child(options: argparse.Namespace) -> list[Row]:
    """Whether KeOps works, by itself or with the system's library loaded first, and what `auto` takes."""
    from missrec_pl.clustering.backends import resolve
    from missrec_pl.system import keops_trial

    found = keops_trial.verdict(options.device, 16 if options.rehearse else 300, Path(options.cache))
    rows = [_checked("keops", found.works, problem=found.problem, preload=found.preload)]
    return [*rows, {"what": "auto", "ok": True, "takes": resolve(options.device, 300)[0]}]


def dpc_knn_speed(options: argparse.Namespace) -> list[Row]:
    """Seconds and memory of interest discovery, 2 % prototypes, 300 dimensions."""
    import torch

    from missrec_pl.clustering import dpc_knn

    rows = []
    for count in (1024, 2048) if options.rehearse else (65_536, 131_072, 541_126):
        tokens = torch.randn(count, 300, device=options.device)
        _reset_peak(options.device)
        seconds = _timed(partial(dpc_knn, tokens, count // 50, 16, backend="tiled"), options.device)
        rows.append(
            {"what": f"dpc_knn {count:,}", "ok": True, "s": round(seconds, 3), "MB": _peak(options.device)}
        )
    return rows


def steps_of(phase: str) -> Callable[[argparse.Namespace], list[Row]]:
    """Step times of a phase in every precision: eager, compiled, and with CUDA graphs."""

    def run(options: argparse.Namespace) -> list[Row]:
        from missrec_pl.system.shapes import fixed_shapes

        rows = []
        for compiled in ("false", "true", "reduce-overhead") if not options.rehearse else ("false",):
            for precision in PRECISIONS if not options.rehearse else ("float32", "bf16"):
                with fixed_shapes():  # in a rehearsal, too
                    row = _step(phase, precision, compiled, options)
                print(json.dumps(row), flush=True)  # kept if the next one takes too long
                rows.append(row)
        return rows

    return run


def _step(phase: str, precision: str, compiled: str, options: argparse.Namespace) -> Row:
    import operations
    import torch
    from gpu import CASES, FIXED
    from scene import Scene
    from torch.profiler import ProfilerActivity, profile

    from missrec_pl.callbacks import NanGuard

    matmul, half = PRECISIONS[precision]
    size = 64 if options.rehearse else 4096 if phase == "pretrain" else 2048
    place = (f"paths.cache_dir={options.cache}", f"data.batch_size={size}", f"compile={compiled}")
    data = (f"data.source.scale={options.scale}", f"matmul_precision={matmul}")
    scene = Scene(*FIXED, *CASES[phase], *place, *data, device=options.device)
    scene.module.train()
    optimizer = scene.module.configure_optimizers()
    loader = iter(scene.datamodule.train_dataloader())
    next(loader)
    batches = [scene.next_batch(loader) for _ in range(2 if options.rehearse else 8)]

    def learn() -> None:
        for batch in batches:
            scene.learn(batch, optimizer, half=half)

    learn()
    _reset_peak(options.device)
    seconds = _timed(learn, options.device) / len(batches)
    scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
    with operations.Operations() as found, torch.autocast(options.device, torch.bfloat16, enabled=half):
        operations.step_of(scene, batches[0], NanGuard(".", every_n_steps=100))
    row: Row = {"what": f"{phase} {precision}{NAMES[compiled]}", "ok": True}
    row |= {
        "ms": round(1e3 * seconds, 2),
        "samples/s": round(size / seconds),
        "epoch s": EPOCH_ROWS * seconds / size,
    }
    row |= {"operations": found.total, "waits": sum(found.waits.values()), "MB": _peak(options.device)}
    if options.device == "cuda":
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as traced:
            wall = _timed(learn, options.device)
        kernels = [
            one for one in traced.key_averages() if one.self_device_time_total and "CUDA" in str(one.device_type)
        ]
        row["launches"] = sum(one.count for one in kernels) // len(batches)
        row["busy"] = round(sum(one.self_device_time_total for one in kernels) / 1e6 / wall, 3)
        torch.cuda.empty_cache()
    return row


def _checked(what: str, ok: bool, **more: Any) -> Row:
    return {"what": what, "ok": bool(ok), **more}


def _timed(run: Callable[[], Any], device: str) -> float:
    import torch

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - start


def _reset_peak(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> int:
    import torch

    return torch.cuda.max_memory_allocated() >> 20 if device == "cuda" else 0


PARTS = {
    "dpc-knn": Part(25, dpc_knn_is_exact),
    "steps": Part(40, steps_are_those_of_cpu),
    "processes": Part(90, processes_are_one),
    "keops": Part(60, keops_in_a_child),
    "interests": Part(30, dpc_knn_speed),
    "pretrain": Part(60, steps_of("pretrain")),
    "finetune": Part(60, steps_of("finetune")),
    "sampled": Part(40, steps_of("sampled")),
}
