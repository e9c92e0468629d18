"""One process against several on the same cores and with the same global batch: seconds per epoch.

python benchmarks/processes.py --processes 1,2 data=scientific_mm_subset paths.data_dir=DATA
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def epochs(processes: int, threads: int, folder: Path, overrides: list[str]) -> list[float]:
    """Seconds of each epoch but the first."""
    run = folder / f"{processes}-{threads}"
    command = [
        sys.executable, str(ROOT / "train.py"), "data=synthetic", "trainer=ddp_sim",
        f"trainer.devices={processes}", "trainer.max_epochs=4",
        "callbacks.early_stopping=null", "callbacks.progress=null", "test=false",
        f"paths.cache_dir={folder / 'cache'}", f"hydra.run.dir={run}", *overrides,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(ended.stderr)
    seconds: list[float] = json.loads((run / "results.json").read_text(encoding="utf-8"))["timing"]["epoch_s"]
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", default="1,2", help="numbers of processes to compare")
    parser.add_argument("--cores", type=int, default=2, help="threads of all processes together")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    first = None
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        for processes in map(int, arguments.processes.split(",")):
            threads = max(1, arguments.cores // processes)
            found = statistics.median(epochs(processes, threads, Path(folder), arguments.overrides))
            first = first or found
            print(f"{processes} processes of {threads} threads: {found:.2f} s an epoch, {first / found:.2f} times")


if __name__ == "__main__":
    main()
