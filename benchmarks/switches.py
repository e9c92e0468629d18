"""What the switches of speed give on this CPU: half precision, other products, a fused optimiser, compiled blocks.

    python benchmarks/switches.py

Training steps of `missrec_released` on the data of `training.py`, each switch in a process of its own. CPU seconds
of one thread for an epoch, extrapolated from `--batches`; `first s` is the first step, with `compile=true` the
compiler's work, too; `error` is the largest difference of a product of float32 matrices `[512, 300] x [300, 6250]`
(normal entries) from the exact one: about 1e-4 is float32, more than 1e-2 bfloat16.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from scene import Scene, cpu_seconds, in_a_process, machine, options_of
from training import ROWS, write_data

from missrec_pl.system.precision import set_matmul_precision

SWITCHES = {
    "as it is": [],
    "trainer.precision=bf16-mixed": ["trainer.precision=bf16-mixed"],
    "matmul_precision=medium": ["matmul_precision=medium"],
    "both": ["trainer.precision=bf16-mixed", "matmul_precision=medium"],
    "optim.fused=true": ["optim.fused=true"],
    "compile=true": ["compile=true"],
}


def measure(job: dict[str, Any]) -> dict[str, float]:
    scene = Scene("data=domain", "data.name=shaped", f"paths.data_dir={job['data']}", *SWITCHES[job["switch"]])
    set_matmul_precision(scene.cfg.matmul_precision)
    scene.module.train()
    optimizer, half = scene.module.configure_optimizers(), scene.cfg.trainer.precision == "bf16-mixed"
    loader = iter(scene.datamodule.train_dataloader())
    batches = [scene.next_batch(loader) for _ in range(job["batches"])]
    first = cpu_seconds(lambda: scene.learn(batches[0], optimizer, half=half))
    scene.learn(batches[1], optimizer, half=half)  # other lengths: what was compiled becomes general
    seconds = cpu_seconds(lambda: [scene.learn(batch, optimizer, half=half) for batch in batches])
    return {"first": first, "epoch": seconds * ROWS / sum(map(len, batches)), "error": product_error()}


def product_error() -> float:
    random = torch.Generator().manual_seed(0)
    left, right = (torch.randn(shape, generator=random) for shape in ((512, 300), (300, 6250)))
    return float((left @ right - left.double() @ right.double()).abs().max())


def main() -> None:
    known = list(SWITCHES)
    switches = {"nargs": "+", "choices": known, "default": known}
    options = options_of(__doc__, measure, batches={"type": int, "default": 6}, switches=switches)
    print(machine())
    print(f"{'CPU seconds of one thread':<32}{'first s':>9}{'epoch s':>9}{'error':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        for switch in options.switches:
            row = in_a_process(__file__, data=folder, switch=switch, batches=options.batches)
            print(f"{switch:<32}{row['first']:>9.1f}{row['epoch']:>9.1f}{row['error']:>9.0e}", flush=True)


if __name__ == "__main__":
    main()
