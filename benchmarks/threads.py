"""Threads that sleep while they wait, beside threads that spin: an epoch alone, and beside two busy neighbours.

    python benchmarks/threads.py

Wall seconds of steps of a Transformer layer (512 rows, hidden size 300), each in a process of its own, with as
many threads as the process may use. The neighbours are two processes that count.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from missrec_pl.system.threads import available_cores

WORK = """
import time, torch
layer = torch.nn.TransformerEncoderLayer(300, 4, 256, batch_first=True)
x = torch.randn(512, 6, 300)
def step():
    layer.zero_grad()
    layer(x).square().mean().backward()
step()
start = time.perf_counter()
for _ in range({steps}):
    step()
print(time.perf_counter() - start)
"""
BURN = "while True: pass"


def seconds(steps: int, policy: str, threads: int) -> float:
    environment = {**os.environ, "OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-c", WORK.format(steps=steps)]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    burning = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    time.sleep(0.5)
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    threads = available_cores()
    print(f"{threads} threads, least of {arguments.repeats} runs of {arguments.steps} steps")
    print(f"{'':<28}{'spinning s':>12}{'sleeping s':>12}{'ratio':>8}")
    for count, name in ((0, "quiet"), (2, "beside two busy neighbours")):
        found = {"ACTIVE": [], "PASSIVE": []}
        with neighbours(count):
            for _ in range(arguments.repeats):
                for policy, measured in found.items():
                    measured.append(seconds(arguments.steps, policy, threads))
        spinning, sleeping = min(found["ACTIVE"]), min(found["PASSIVE"])
        print(f"{name:<28}{spinning:>12.2f}{sleeping:>12.2f}{spinning / sleeping:>8.2f}")


if __name__ == "__main__":
    main()
