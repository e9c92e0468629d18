"""All benchmarks one after the other, and a summary: `make bench`.

    python benchmarks/all.py --cache DIR                    # DIR: 0.85 GB of generated data, made on first use
    python benchmarks/all.py --cache DIR --rehearsal        # pre-training at the paper's size, too
    python benchmarks/all.py --cache DIR --only training features

What each prints is shown as it comes and kept in DIR/<name>.txt. The summary repeats the lines that matter most.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Benchmark:
    """A script, and which lines of what it prints the summary repeats.

    Attributes:
        arguments: what to run, `{cache}` being the folder of the generated data.
        shown: beginnings of the lines, or parts of them.
    """

    arguments: tuple[str, ...]
    shown: tuple[str, ...]


BENCHMARKS = {
    "training": Benchmark(("training.py",), ("limit:", "epoch ", "evaluation of", "python train.py")),
    "switches": Benchmark(("switches.py",), ("as it is", "precision=", "fused=", "compile=")),
    "scorers": Benchmark(("scorers.py",), ("network alone", "all  ")),
    "interest": Benchmark(("interest.py",), ("16384   300  products", "16384   300  tiled", "16384   300  keops")),
    "features": Benchmark(("features.py", "--cache", "{cache}"), ("device f", "host f", "memmap f", "features  ")),
    "candidates": Benchmark(("candidates.py", "--cache", "{cache}"), ("candidates of", "all  ", "sampled,")),
    "baselines": Benchmark(("baselines.py",), ("hybrid_knn", "total")),
    "gpu": Benchmark(("gpu.py", "--cache", "{cache}"), ("no CUDA", "case ", "pretrain ", "finetune ", "sampled ")),
    "rehearsal": Benchmark(
        ("rehearsal.py", "--cache", "{cache}"), ("samples/s", "resident memory", "waiting for")
    ),
}


def run(name: str, cache: Path) -> tuple[int, float, list[str]]:
    """Exit code, seconds and the lines for the summary."""
    benchmark = BENCHMARKS[name]
    script, *options = (part.format(cache=cache) for part in benchmark.arguments)
    print(f"\n== {name}: python benchmarks/{' '.join([script, *options])}", flush=True)
    start, lines = time.perf_counter(), []
    command = [sys.executable, str(HERE / script), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    part = cache / f".{name}.txt.part"
    part.write_text("\n".join(lines) + "\n")
    part.replace(cache / f"{name}.txt")
    seconds = time.perf_counter() - start
    return process.returncode, seconds, [one for one in lines if any(text in one for text in benchmark.shown)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder for generated data and results")
    parser.add_argument("--rehearsal", action="store_true", help="pre-training at the paper's size, too")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), help="some of them")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    names = options.only or [name for name in BENCHMARKS if name != "rehearsal" or options.rehearsal]
    results = {name: run(name, options.cache.resolve()) for name in names}
    print("\n== summary")
    for name, (code, seconds, lines) in results.items():
        print(f"{name}: {f'FAILED with exit code {code}' if code else 'done'} in {seconds:.0f} s")
        for line in lines:
            print(f"    {line}")
    return max(min(code, 1) if code >= 0 else 1 for code, _, _ in results.values())


if __name__ == "__main__":
    sys.exit(main())
