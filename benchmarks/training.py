"""Training and evaluation of `missrec_released` beside a plain padded network and the time of its bare products.

    python benchmarks/training.py
    python benchmarks/training.py --only evaluation

Data shaped as Scientific of the paper's table 1: 8,442 users, 4,385 items, 34,101 training rows, two modalities of
512, images of 36 % of the items; batches of 512, hidden size 300, 5 % prototypes. CPU seconds of one thread, each
method in a process of its own.

`plain` is the same network as one would write it first (`plain_network.py`): every batch padded to its longest
history, interests made distinct row by row, all items' features through the adapters, missing ones too. `limit` is
the time of a matrix product with as many operations as the unpadded network needs, forwards and backwards, at the
rate that a product of 2,048 x 300 x 300 reaches here.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_network import PlainNetwork
from scene import ROOT, Scene, cpu_seconds, in_a_process, machine, options_of, status_mb

from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences

USERS, ITEMS, ROWS, WIDTH = 8442, 4385, 34101, 512
METHODS = ("ours", "plain", "limit", "evaluation")


def write_data(folder: Path) -> None:
    """Write a domain with the counts of Scientific; items and features are noise."""
    rng = np.random.default_rng(0)
    lengths = np.full(USERS, 5)  # 5-core: three training rows less one, and two held out
    extra = ROWS - int((lengths - 3).sum())
    lengths += np.bincount(rng.choice(USERS, size=extra, p=rng.dirichlet(np.full(USERS, 0.4))), minlength=USERS)
    lengths = np.minimum(lengths, 52)
    lengths[: ROWS - int((lengths - 3).sum())] += 1
    popularity = rng.dirichlet(np.full(ITEMS, 0.5))
    lists = [(rng.choice(ITEMS, size=length, p=popularity) + 1).tolist() for length in lengths]
    lists[0][: len(lists[0])] = [ITEMS] * len(lists[0])
    present = {"text": np.ones(ITEMS, bool), "image": rng.random(ITEMS) < 0.36}
    write_noise(folder / "shaped", lists, {name: (WIDTH, here) for name, here in present.items()}, rng)


def write_noise(
    path: Path, lists: list[list[int]], shapes: dict[str, tuple[int, np.ndarray]], rng: np.random.Generator
) -> None:
    """Write a domain of these sequences; ``shapes``: width of each modality, and which items ``[N]`` have it."""
    features = {
        name: FeatureMatrix(rng.normal(size=(len(present), width)).astype(np.float32), present, "noise")
        for name, (width, present) in shapes.items()
    }
    num_items = len(next(iter(shapes.values()))[1])
    write_domain(
        path, name=path.name, raw_item_ids=[str(i) for i in range(num_items)], texts=[""] * num_items,
        sequences=Sequences.from_lists(lists), raw_user_ids=[str(u) for u in range(len(lists))], features=features,
    )  # fmt: skip


def train(step: Callable[[Any], torch.Tensor], optimizer: torch.optim.Optimizer, batches: list[Any]) -> float:
    """CPU seconds of an epoch, from as many batches as are given; the first one warms up."""

    def one(batch: Any) -> None:
        optimizer.zero_grad()
        step(batch).backward()
        optimizer.step()

    one(batches[0])
    seconds = cpu_seconds(lambda: [one(batch) for batch in batches])
    return seconds * ROWS / sum(len(batch) for batch in batches)


def batches_of(scene: Scene) -> list[Any]:
    return [scene.on_device(batch) for batch in scene.datamodule.train_dataloader()]


def ours(scene: Scene) -> float:
    scene.module.train()
    step = lambda batch: scene.module.training_step(batch, 0)  # noqa: E731
    return train(step, scene.module.configure_optimizers(), batches_of(scene))


def plain(scene: Scene) -> float:
    network = PlainNetwork(scene.datamodule.catalogue, scene.model)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    return train(network.loss, optimizer, batches_of(scene)[:8])


def limit(scene: Scene) -> float:
    """Unpadded operations of an epoch over the rate of one product."""
    hidden, inner = 300, 256
    left, right = torch.randn(2048, hidden), torch.randn(hidden, hidden)
    left @ right
    rate = 200 * 2 * 2048 * hidden**2 / cpu_seconds(lambda: [left @ right for _ in range(200)])
    interest = scene.model.interests.assignment
    operations = 0.0
    for batch in batches_of(scene):
        tokens = int(batch.length.sum())
        distinct = sum(len(set(interest[row].flatten().tolist()) - {0}) for row in batch.history)
        attention = 4 * hidden**2 + 2 * hidden * inner
        # Encoder over interests; decoder over items: self- and cross-attention, keys and values of the interests.
        forward = 2 * (distinct * (attention + 2 * hidden**2) + tokens * (attention + 2 * hidden**2))
        present = (~batch.items.is_missing[1:]).sum()
        adapters = 2 * float(present) * WIDTH * hidden
        logits = 2 * len(batch) * float(present) * hidden
        operations += 3 * (forward + logits) + 2 * adapters  # features need no gradient
    return operations / rate


def evaluation(scene: Scene) -> float:
    scene.module.eval()

    def run() -> None:
        with torch.no_grad():
            scene.module.on_validation_epoch_start()
            for batch in scene.datamodule.val_dataloader():
                scene.module.val_metrics.update(scene.module.ranks(batch))
            scene.module.val_metrics.compute()

    return cpu_seconds(run)


def start_up(command: list[str], repeats: int = 3) -> float:
    """Wall seconds of a whole process, the least of some."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=ROOT)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(job: dict[str, Any]) -> dict[str, float]:
    scene = Scene("data=domain", "data.name=shaped", f"paths.data_dir={job['data']}")
    seconds = {"ours": ours, "plain": plain, "limit": limit, "evaluation": evaluation}[job["method"]](scene)
    return {"seconds": seconds, "peak": status_mb("VmHWM")}


def main() -> None:
    arguments = options_of(__doc__, measure, only={"nargs": "+", "choices": METHODS, "default": METHODS})
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        results = {name: in_a_process(__file__, method=name, data=folder) for name in arguments.only}
    print(machine())
    print(f"{'CPU seconds of one thread':<44}{'s':>8}{'peak MB':>9}{'/plain':>8}{'/limit':>8}")
    for name, label in (("limit", "limit: the products of an epoch"), ("ours", "epoch"), ("plain", "plain epoch")):
        if (one := results.get(name)) is None:
            continue
        print(f"{label:<44}{one['seconds']:>8.1f}{one['peak']:>9.0f}", end="")
        others = [results[other]["seconds"] for other in ("plain", "limit") if other in results]
        print("".join(f"{one['seconds'] / other:>8.2f}" for other in others))
    if (one := results.get("evaluation")) is not None:
        print(
            f"{f'evaluation of {USERS:,} users over {ITEMS:,} items':<44}{one['seconds']:>8.2f}{one['peak']:>9.0f}"
        )
    print(f"{'python train.py --help (wall)':<44}{start_up(['train.py', '--help']):>8.2f}")
    print(f"{'import missrec_pl (wall)':<44}{start_up(['-c', 'import missrec_pl']):>8.2f}")


if __name__ == "__main__":
    main()
