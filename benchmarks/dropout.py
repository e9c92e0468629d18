"""Nanoseconds per element of torch's dropout and of ours, on one thread: `python benchmarks/dropout.py`."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from missrec_pl.nn.blocks.dropout import Dropout

ELEMENTS = 8_000_000
REPEATS = 5


def nanoseconds(step: Callable[[], object]) -> float:
    step()
    start = time.process_time()
    for _ in range(REPEATS):
        step()
    return (time.process_time() - start) / REPEATS / ELEMENTS * 1e9


def main() -> None:
    torch.set_num_threads(1)
    x, ours = torch.randn(ELEMENTS), Dropout(0.5)
    theirs_ns = nanoseconds(lambda: F.dropout(x, 0.5))
    ours_ns = nanoseconds(lambda: ours(x))
    print(f"torch {theirs_ns:.2f} ns/element, ours {ours_ns:.2f} ns/element, ratio {theirs_ns / ours_ns:.1f}")


if __name__ == "__main__":
    main()
