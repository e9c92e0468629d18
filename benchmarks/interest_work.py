"""Work of the search for neighbours, beside that of an earlier commit in the same run: products, compared, sorted.

    python benchmarks/interest_work.py --tokens 16384 65536 --against 30a16bd

CPU seconds of one thread, the two versions in turn, so that their ratio holds beside other programs. Counts are
per token: `products` are distances made by matrix products, `compared` are entries that a minimum, a maximum or a
comparison reads, `topk` are entries that torch.topk reads. Tokens are clustered, 300 dimensions, k = 16.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from interest import make_tokens
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).resolve().parents[1]
_KINDS = {
    **dict.fromkeys(("addmm", "mm"), "products"),
    **dict.fromkeys(("amin", "amax", "max", "argmax", "le", "lt", "eq", "minimum"), "compared"),
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


def measure(total: int) -> dict[str, float]:
    """One search in this process."""
    from missrec_pl.clustering.backends.tiled import TiledReductions
    from missrec_pl.system.processes import Share

    torch.set_num_threads(1)
    tokens = make_tokens(total, 300, "clustered", "cpu")
    with torch.no_grad():
        TiledReductions(tokens[:512].clone()).k_smallest(16, Share())
        with Work() as work:
            start = time.process_time()
            TiledReductions(tokens).k_smallest(16, Share())
            seconds = time.process_time() - start
    return {"seconds": seconds, **{kind: count / total for kind, count in work.counts.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16384])
    parser.add_argument("--against", default="30a16bd", help="commit of the earlier version")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child)))
        return
    heads = ("CPU s", "products", "compared", "topk")
    print(f"{'tokens':>8}  {'version':<10}" + "".join(f"{head:>12}" for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", options.against, "src"], cwd=ROOT, check=True, capture_output=True
        )
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        for total in options.tokens:
            found: dict[str, list[dict[str, float]]] = {options.against: [], "this": []}
            for _ in range(options.repeats):
                for name, place in ((options.against, folder), ("this", str(ROOT))):
                    command = [sys.executable, __file__, f"--child={total}"]
                    environment = {**os.environ, "PYTHONPATH": f"{place}/src"}
                    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                    found[name].append(json.loads(done.stdout))
            best = {name: min(rows, key=lambda row: row["seconds"]) for name, rows in found.items()}
            for name, row in best.items():
                values = (row["seconds"], row["products"], row["compared"], row["topk"])
                print(f"{total:>8}  {name:<10}" + "".join(f"{value:>12,.1f}" for value in values), flush=True)
            old, new = best.values()
            ratios = "".join(
                f"{new[key] / old[key]:>12.2f}" for key in ("seconds", "products", "compared", "topk")
            )
            print(f"{total:>8}  {'ratio':<10}{ratios}", flush=True)


if __name__ == "__main__":
    main()
