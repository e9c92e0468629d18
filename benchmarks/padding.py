"""What padding costs networks with a target at every place: batches of like lengths beside random ones.

    python benchmarks/padding.py                                                # on generated data
    python benchmarks/padding.py data=scientific_mm_subset paths.data_dir=DATA  # any overrides

`random` is a batch of random rows, encoded in eight groups of length, as it was before rows of like length shared
a batch; `padded` the same as one group. CPU seconds of an epoch's steps in one thread; places for each real one.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from scene import Scene, cpu_seconds, machine

from missrec_pl.data.examples.base import TrainingExamples

MODELS = ("sasrec", "gru4rec", "sasrec_text")


def epoch(model: str, overrides: list[str], *, alike: bool, buckets: int) -> tuple[float, float]:
    """CPU seconds of an epoch after a first one that warms up, and computed places over real ones."""
    with_lengths: Callable[[Any], Any] = TrainingExamples.lengths
    if not alike:
        TrainingExamples.lengths = lambda self: None  # type: ignore[method-assign]
    try:
        scene = Scene("setting=transductive", f"model={model}", *overrides)
        batches = [scene.on_device(batch) for batch in scene.datamodule.train_dataloader()]
    finally:
        TrainingExamples.lengths = with_lengths  # type: ignore[method-assign]
    scene.module.length_buckets = buckets
    scene.module.train()
    optimizer = scene.module.configure_optimizers()
    real = sum(int(batch.length.sum()) for batch in batches)
    places = 0
    encode = scene.model.encode_histories

    def counted(history: Any, items: Any) -> Any:
        nonlocal places
        places += history.rows.numel()
        return encode(history, items)

    scene.model.encode_histories = counted
    seconds = min(cpu_seconds(lambda: [scene.learn(batch, optimizer) for batch in batches]) for _ in range(2))
    return seconds, places / 2 / real


def main() -> None:
    torch.set_num_threads(1)
    overrides = sys.argv[1:] or ["data=synthetic"]
    print(machine())
    print(f"{'':<14}{'alike':>16}{'random':>16}{'padded':>16}{'random/alike':>14}")
    for model in MODELS:
        rows = [("alike", True, 8), ("random", False, 8), ("padded", False, 1)]
        found = {name: epoch(model, overrides, alike=alike, buckets=buckets) for name, alike, buckets in rows}
        cells = "".join(f"{seconds:>9.2f} ({places:.2f})" for seconds, places in found.values())
        print(f"{model:<14}{cells}{found['random'][0] / found['alike'][0]:>14.2f}", flush=True)


if __name__ == "__main__":
    main()
