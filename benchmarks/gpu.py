"""What a GPU makes of training: samples a second, share of its peak, memory, and hours for the paper's size.

    python benchmarks/gpu.py --cache DIR                       # needs CUDA; without it says so and does nothing
    python benchmarks/gpu.py --cache DIR --cases "pretrain 4096" --precisions bf16 --profile

The generated data of the paper's size (0.85 GB below DIR, made on first use), features on the device in float16.
Steps of `missrec_released`: pre-training at 4,096 rows, fine-tuning at 2,048 against all 446,975 items in chunks
and against sampled ones. `of peak` is the rate of the products of a step (counted by torch, recomputed ones
included) over the rate that a square product of the same precision reaches on this device. `epoch h` extrapolates
to the 12,667,821 rows of the paper's 1,361,408 users; `loader s` is one process's time for a batch, which workers
hide as long as it is shorter than that many steps. Interests are random tokens.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from scene import Scene, machine
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

EPOCH_ROWS = 14_029_229 - 1_361_408  # every interaction but each user's first is a target
FIXED = (
    "data=paper_size", "callbacks=no_validation", "test=false", "features=device", "features.dtype=float16",
    "interest.num_prototypes=0.02",
)  # fmt: skip
CASES = {
    "pretrain": ("phase=pretrain",),
    "finetune": ("phase=finetune", "data.candidates=all"),
    "sampled": ("phase=finetune", "data.candidates=sampled"),
}
PRECISIONS = {"float32": ("highest", False), "tf32": ("high", False), "bf16": ("high", True)}


def timed(run: Callable[[], Any], device: torch.device) -> float:
    """Wall seconds until the device has finished."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - start


def peak_rate(device: torch.device, half: bool, size: int) -> float:
    """Operations a second of a large square product in the precision that is set."""
    x = torch.randn(size, size, device=device, dtype=torch.bfloat16 if half else torch.float32)
    timed(lambda: x @ x, device)
    return 20 * 2 * size**3 / timed(lambda: [x @ x for _ in range(20)], device)


def step_of(scene: Scene, loader: Iterator[Any], half: bool) -> tuple[Callable[[], Any], dict[str, float]]:
    """A step on the same batch each time, and what can be said before it is timed."""
    scene.module.train()
    optimizer = scene.module.configure_optimizers()
    next(loader)
    start = time.perf_counter()
    batch = next(loader)
    facts = {"loader_s": time.perf_counter() - start}
    placed = scene.on_device(batch)
    with FlopCounterMode(display=False) as counter:
        facts["loss"] = float(scene.learn(placed, optimizer, half=half))
    facts["flops"] = float(counter.get_total_flops())
    return lambda: scene.learn(placed, optimizer, half=half), facts


def measure(case: str, batch: int, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    device = torch.device(options.device)
    matmul, half = PRECISIONS[precision]
    base = (f"paths.cache_dir={options.cache}", f"data.source.scale={options.scale}", f"data.batch_size={batch}")
    scene = Scene(*FIXED, *CASES[case], *base, f"matmul_precision={matmul}", device=options.device)
    step, facts = step_of(scene, iter(scene.datamodule.train_dataloader()), half)
    for _ in range(3):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = timed(lambda: [step() for _ in range(options.steps)], device) / options.steps
    memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
    if options.profile:
        print_profile(step, device)
    share = facts["flops"] / seconds / peak_rate(device, half, options.square)
    return {**facts, "seconds": seconds, "rate": batch / seconds, "memory": memory, "share": share}


def print_profile(step: Callable[[], Any], device: torch.device) -> None:
    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=kinds) as found:
        timed(lambda: [step() for _ in range(3)], device)
    print(
        found.key_averages().table(
            sort_by=f"self_{device.type}_time_total", row_limit=12, max_name_column_width=50
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder for the generated data")
    parser.add_argument("--scale", type=float, default=1.0, help="of the paper's counts")
    parser.add_argument("--cases", nargs="+", default=["pretrain 4096", "finetune 2048", "sampled 2048"])
    parser.add_argument("--precisions", nargs="+", choices=list(PRECISIONS), default=list(PRECISIONS))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--square", type=int, default=8192, help="side of the product that gives the peak")
    parser.add_argument("--profile", action="store_true", help="the longest operations of each case")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: to try the script out")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device here: nothing was measured (--device cpu --scale 0.001 tries the script out)")
        return
    if options.cache is None:
        parser.error("--cache: name a folder with room for 0.85 GB")
    print(machine() + (f", {torch.cuda.get_device_name()}" if options.device == "cuda" else ""))
    heads = ("step s", "samples/s", "of peak", "GPU MB", "loader s", "epoch h", "loss")
    print(f"{'case':<16}{'':>8}" + "".join(f"{head:>11}" for head in heads), flush=True)
    rows = []
    for text in options.cases:
        case, _, batch = text.partition(" ")
        for precision in options.precisions:
            row = measure(case, int(batch), precision, options)
            hours = EPOCH_ROWS * options.scale / row["rate"] / 3600
            print(
                f"{text:<16}{precision:>8}{row['seconds']:>11.4f}{row['rate']:>11,.0f}{row['share']:>11.1%}",
                end="",
            )
            print(f"{row['memory']:>11,.0f}{row['loader_s']:>11.3f}{hours:>11.2f}{row['loss']:>11.3f}", flush=True)
            rows.append({"case": text, "precision": precision, **row})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
