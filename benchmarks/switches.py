"""What the switches of speed give on this CPU: half precision, a fused optimiser, compiled blocks.

    python benchmarks/switches.py

Training steps of `missrec_released` on the data of `training.py`, each switch in a process of its own. CPU seconds
of one thread for an epoch, extrapolated from `--batches`; `first s` is the first step, with `compile=true` the
compiler's work, too.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from scene import Scene, answer, cpu_seconds, in_a_process, machine
from training import ROWS, write_data

SWITCHES = {
    "as it is": [],
    "trainer.precision=bf16-mixed": ["trainer.precision=bf16-mixed"],
    "optim.fused=true": ["optim.fused=true"],
    "compile=true": ["compile=true"],
}


def measure(job: dict[str, Any]) -> dict[str, float]:
    torch.set_num_threads(1)
    scene = Scene("data=domain", "data.name=shaped", f"paths.data_dir={job['data']}", *SWITCHES[job["switch"]])
    scene.module.train()
    optimizer, half = scene.module.configure_optimizers(), scene.cfg.trainer.precision == "bf16-mixed"
    loader = iter(scene.datamodule.train_dataloader())
    batches = [scene.next_batch(loader) for _ in range(job["batches"])]
    first = cpu_seconds(lambda: scene.learn(batches[0], optimizer, half=half))
    scene.learn(batches[1], optimizer, half=half)  # other lengths: what was compiled becomes general
    seconds = cpu_seconds(lambda: [scene.learn(batch, optimizer, half=half) for batch in batches])
    return {"first": first, "epoch": seconds * ROWS / sum(map(len, batches))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--switches", nargs="+", choices=list(SWITCHES), default=list(SWITCHES))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.child:
        answer(options.child, measure)
        return
    print(machine())
    print(f"{'CPU seconds of one thread':<32}{'first s':>9}{'epoch s':>9}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        for switch in options.switches:
            row = in_a_process(__file__, data=folder, switch=switch, batches=options.batches)
            print(f"{switch:<32}{row['first']:>9.1f}{row['epoch']:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
