"""Work of the search for neighbours, beside that of an earlier commit in the same run: products, compared, sorted.

    python benchmarks/interest_work.py --tokens 16384 65536 --repeats 7
    python benchmarks/interest_work.py --tokens 8192 --copies        # half of the tokens are one and the same

CPU seconds of one thread, the two versions in turn. The ratio of seconds is the median of those of neighbours in
time, with the least and the largest, so that it holds beside other programs. Counts are per token: `products` are
distances made by matrix products, `compared` are entries that a minimum, a maximum or a comparison reads, `topk`
are entries that torch.topk reads. Tokens are clustered, 300 dimensions, k = 16.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import torch
from interest import make_tokens
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
_KINDS = {
    **dict.fromkeys(("addmm", "mm"), "products"),
    **dict.fromkeys(("amin", "amax", "max", "argmax", "le", "lt", "gt", "eq", "minimum"), "compared"),
    "topk": "topk",
}


class Work(TorchDispatchMode):
    """Counts the entries that operations read, or that products make."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if kind := _KINDS.get(func.overloadpacket.__name__):
            self.counts[kind] += (result if kind == "products" else args[0]).numel()
        return result


def measure(total: int, has_copies: bool, counts: bool) -> dict[str, float]:
    """The seconds of one search in this process, or its counts."""
    from missrec_pl.clustering.backends.tiled import TiledReductions
    from missrec_pl.system.processes import Share

    torch.set_num_threads(1)
    tokens = make_tokens(total, 300, "clustered", "cpu")
    if has_copies:
        tokens[: total // 2] = tokens[0]
    with torch.no_grad():
        TiledReductions(tokens[:2048].clone()).k_smallest(16, Share())
        start = time.process_time()
        with Work() if counts else contextlib.nullcontext() as work:
            TiledReductions(tokens).k_smallest(16, Share())
        seconds = time.process_time() - start
    return {kind: count / total for kind, count in work.counts.items()} if work else {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--against", default="30a16bd", help="commit of the earlier version")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--copies", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--counts", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child, options.copies, options.counts)))
        return
    heads = ("CPU s", "products", "compared", "topk")
    print(f"{'tokens':>8}  {'version':<10}" + "".join(f"{head:>12}" for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", options.against, "src"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        for total in options.tokens:
            counts, seconds = {}, {options.against: [], "this": []}
            for repeat in range(options.repeats + 1):
                for name, place in ((options.against, folder), ("this", str(ROOT))):
                    flags = ["--copies"] * options.copies + ["--counts"] * (repeat == 0)
                    command = [sys.executable, __file__, f"--child={total}", *flags]
                    environment = {**os.environ, "PYTHONPATH": f"{place}/src"}
                    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                    if repeat:
                        seconds[name].append(json.loads(done.stdout)["seconds"])
                    else:
                        counts[name] = json.loads(done.stdout)
            report(total, counts, seconds)


def report(total: int, counts: dict[str, dict[str, float]], seconds: dict[str, list[float]]) -> None:
    """The table's lines of one number of tokens."""
    kinds = ("products", "compared", "topk")
    for name, row in counts.items():
        values = (median(seconds[name]), *(row[kind] for kind in kinds))
        print(f"{total:>8}  {name:<10}" + "".join(f"{value:>12,.1f}" for value in values), flush=True)
    old, new = counts.values()
    ratios = sorted(b / a for a, b in zip(*seconds.values(), strict=True))
    shares = "".join(f"{new[kind] / old[kind]:>12.2f}" for kind in kinds)
    print(
        f"{total:>8}  {'ratio':<10}{median(ratios):>12.2f}{shares}   {ratios[0]:.2f}-{ratios[-1]:.2f}", flush=True
    )


if __name__ == "__main__":
    main()
