"""Where features live: seconds until a pre-training batch has its features, and what that costs in memory.

    python benchmarks/features.py --cache DIR                     # device, host, memmap x float32, float16
    python benchmarks/features.py --cache DIR --batch 4096 --device cuda

The generated data of the paper's size (446,975 items, two modalities of 512 in float16 files; 0.85 GB below DIR,
made on first use), batches of 2,048 rows. `batch s` is from asking the loader to having the features beside the
network: means over the batches after the first, wall and CPU seconds of one thread. `held MB` and `peak MB` are
resident memory once the data module is set up, and at most after that; mapped pages count while the kernel keeps
them, `own MB` is without them. On CPU `device` is main memory like `host`, but its features are gathered after the
loader instead of in it. Mapped files have their own dtype.
"""

import json
import time
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from scene import ROOT, Placed, cpu_seconds, forget_peak, generated_data, in_a_process, machine, status_mb

from missrec_pl.experiment import building

CHOICES = ("device float32", "device float16", "host float32", "host float16", "memmap float16")


def measure(job: dict[str, Any]) -> dict[str, Any]:
    residency, dtype = job["features"].split()
    overrides = ["phase=pretrain", "data=paper_size", f"features={residency}", f"features.dtype={dtype}"]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        cfg = compose("train", overrides=["paths.output_dir=/nowhere", *overrides, *job["overrides"]])
    start = time.perf_counter()
    placed = Placed(building.build_datamodule(cfg), torch.device(job["device"]))
    placed.datamodule.catalogue.to(placed.device)
    setup = time.perf_counter() - start
    held = status_mb("VmRSS")
    forget_peak()
    loader = iter(placed.datamodule.train_dataloader())
    tables = [len(placed.next_batch(loader).items.ids)]

    def load() -> None:
        tables.extend(len(placed.next_batch(loader).items.ids) for _ in range(job["steps"]))

    start = time.perf_counter()
    cpu = cpu_seconds(load)
    wall = time.perf_counter() - start
    return {
        "setup": setup,
        "held": held,
        "peak": status_mb("VmHWM"),
        "own": status_mb("RssAnon"),
        "wall": wall / job["steps"],
        "cpu": cpu / job["steps"],
        "items": sum(tables) / len(tables),
    }


def main() -> None:
    device = {"choices": ["cpu", "cuda"], "default": "cpu"}
    options, overrides = generated_data(__doc__, measure, 2048, 20, device=device)
    print(f"{machine()}, features for {options.device}")
    columns = ("setup s", "held MB", "peak MB", "own MB", "batch s", "CPU s")
    print(f"{'features':<16}{'items':>8}" + "".join(f"{name:>9}" for name in columns), flush=True)
    rows = []
    for features in CHOICES:
        job = {"features": features, "overrides": overrides, "steps": options.steps, "device": options.device}
        row = in_a_process(__file__, **job)
        print(f"{features:<16}{row['items']:>8,.0f}{row['setup']:>9.1f}", end="")
        print("".join(f"{row[name]:>9,.0f}" for name in ("held", "peak", "own")), end="")
        print(f"{row['wall']:>9.3f}{row['cpu']:>9.3f}", flush=True)
        rows.append({"features": features, **row})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
