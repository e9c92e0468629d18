"""Time and memory of interest discovery: dpc_knn beside the dense form, scikit-learn and its bare products.

    python benchmarks/interest.py --tokens 4096 8192 16384 --dims 64 300
    python benchmarks/interest.py --tokens 4096 --dims 300 --methods tiled keops
    python benchmarks/interest.py --tokens 5970 --dims 300 --passes

Each measurement runs in a process of its own, so that peaks of memory do not mix. `extra MB` is the peak
during the call above what the process held before it, the tokens included. `lower limit` is a blocked
product of all tokens with all tokens plus torch.topk over it; `products` is the first part. On a shared
machine give --threads 1 --clock cpu: times of this process alone. --passes splits a backend's time into the
search for neighbours, the second pass over local peaks (nearest denser token) and the nearest centres.
"""

import argparse
import contextlib
import io
import itertools
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch

from missrec_pl.clustering import dpc_knn
from missrec_pl.clustering.backends import make_reductions
from missrec_pl.system.processes import Share

ALONE = Share()
CPU_METHODS = ("products", "lower_limit", "tiled", "dense_form", "sklearn", "keops")
CUDA_METHODS = ("products", "lower_limit", "tiled", "keops")
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


def make_tokens(total: int, width: int, kind: str, device: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(total, width, generator=generator)
    if kind == "clustered":
        heads = torch.randn(max(2, total // 80), width, generator=generator)
        tokens = tokens.mul_(0.5).add_(heads[torch.randint(len(heads), (total,), generator=generator)])
    return tokens.to(device)


def products(tokens: torch.Tensor, k: int, num_clusters: int, topk: bool = False) -> None:
    """Multiply in blocks of rows; optionally take the k largest of each row, the least that any search must do."""
    rows = 1024 if tokens.device.type == "cpu" else 8192
    buffer = torch.empty(min(rows, len(tokens)), len(tokens), device=tokens.device)
    for part in torch.split(tokens, rows):
        block = buffer[: len(part)]
        torch.mm(part, tokens.T, out=block)
        if topk:
            block.topk(k, dim=1)


def lower_limit(tokens: torch.Tensor, k: int, num_clusters: int) -> None:
    products(tokens, k, num_clusters, topk=True)


def dense_form(tokens: torch.Tensor, k: int, num_clusters: int) -> None:
    """DPC-KNN as published code writes it (TCFormer, and MISSRec's release after it): everything N x N."""
    distance = torch.cdist(tokens, tokens) / tokens.shape[1] ** 0.5
    nearest = distance.topk(k, dim=1, largest=False).values
    density = (-nearest.square().mean(1)).exp()
    denser = (density[None, :] > density[:, None]).to(distance.dtype)
    delta = (distance * denser + distance.max() * (1 - denser)).min(1).values
    centers = (density * delta).topk(num_clusters).indices
    distance[centers].argmin(0)


def sklearn_form(tokens: torch.Tensor, k: int, num_clusters: int) -> None:
    """What a user would pick for neighbours: scikit-learn's search, then DPC with rows of distances in blocks."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(tokens.numpy())
    nearest = torch.from_numpy(search.kneighbors()[0])
    density = (-nearest[:, :k].square().mean(1) / tokens.shape[1]).exp().float()
    delta = torch.empty(len(tokens))
    for rows in torch.split(torch.arange(len(tokens)), 1024):
        distance = torch.cdist(tokens[rows], tokens)
        delta[rows] = torch.where(density > density[rows, None], distance, torch.inf).amin(1)
    centers = (density * delta).topk(num_clusters).indices
    centre_search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(tokens[centers].numpy())
    centre_search.kneighbors(tokens.numpy())


def method_of(name: str) -> Callable[[torch.Tensor, int, int], Any]:
    plain: dict[str, Callable[[torch.Tensor, int, int], Any]] = {
        "products": products,
        "lower_limit": lower_limit,
        "dense_form": dense_form,
        "sklearn": sklearn_form,
    }
    return plain.get(name, lambda tokens, k, count: dpc_knn(tokens, count, k, backend=cast(Any, name)))


class PeakMemory:
    """Peak extra memory in MB: of the device on CUDA, else of the process (Linux)."""

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated() / 2**20
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self._before = self._status("VmRSS")

    def extra(self) -> float:
        peak = torch.cuda.max_memory_allocated() / 2**20 if self._cuda else self._status("VmHWM")
        return peak - self._before

    @staticmethod
    def _status(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def measure(arguments: argparse.Namespace) -> dict[str, float]:
    """Run one method on one size: once on few tokens (loading, compiling), then timed."""
    torch.set_num_threads(arguments.threads)
    total, width, device = arguments.tokens[0], arguments.dims[0], arguments.device
    tokens = make_tokens(total, width, arguments.kind, device)
    method = method_of(arguments.child)
    count = math.ceil(arguments.ratio * total)
    clock = CLOCKS[arguments.clock]
    with contextlib.redirect_stdout(io.StringIO()):
        method(tokens[:512].clone(), arguments.k, 10)
        seconds = []
        memory = PeakMemory(device)
        for _ in range(arguments.repeats):
            start = clock()
            method(tokens, arguments.k, count)
            if device == "cuda":
                torch.cuda.synchronize()
            seconds.append(clock() - start)
    return {"seconds": min(seconds), "extra_mb": memory.extra()}


def run_child(arguments: argparse.Namespace, name: str, total: int, width: int) -> dict[str, Any]:
    options = {
        "child": name,
        "tokens": total,
        "dims": width,
        "k": arguments.k,
        "ratio": arguments.ratio,
        "kind": arguments.kind,
        "threads": arguments.threads,
        "clock": arguments.clock,
        "repeats": arguments.repeats,
        "device": arguments.device,
    }
    command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in options.items())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"method": name, "tokens": total, "dims": width, "error": lines[-1] if lines else "killed"}
    return {"method": name, "tokens": total, "dims": width, **json.loads(done.stdout)}


def print_passes(arguments: argparse.Namespace) -> None:
    """Time each reduction of tiled and keops in this process, after a call that compiles."""
    torch.set_num_threads(arguments.threads)
    clock = CLOCKS[arguments.clock]
    print(
        f"{'tokens':>8} {'dims':>5}  {'method':<8}{'peaks':>7}{'first s':>10}{'second s':>10}{'centres s':>10}",
        end="",
    )
    print(f"{'second/first':>14}")
    for total, width in itertools.product(arguments.tokens, arguments.dims):
        tokens = make_tokens(total, width, arguments.kind, arguments.device)
        count = math.ceil(arguments.ratio * total)
        for name in arguments.methods or ("tiled", "keops"):
            with contextlib.redirect_stdout(io.StringIO()):
                reductions, _ = make_reductions(name, tokens, arguments.k, ALONE)
                reductions.prepare(arguments.k)
            seconds = [clock()]
            neighbors = reductions.k_smallest(arguments.k, ALONE)
            seconds.append(clock())
            rank = neighbors.squared_distance.sum(1).argsort().argsort()
            is_peak = (rank[neighbors.token] > rank[:, None]).all(1)
            peaks = (is_peak & (rank > 0)).nonzero()[:, 0]
            seconds.append(clock())
            reductions.nearest_denser(rank, peaks)
            seconds.append(clock())
            reductions.nearest_center(rank.argsort()[:count], torch.arange(total, device=tokens.device))
            first, _, second, centers = (b - a for a, b in itertools.pairwise([*seconds, clock()]))
            print(
                f"{total:>8} {width:>5}  {name:<8}{len(peaks):>7}{first:>10.3f}{second:>10.3f}{centers:>10.3f}",
                end="",
            )
            print(f"{second / first:>14.1%}", flush=True)


def print_row(row: dict[str, Any], reference: dict[str, float]) -> None:
    head = f"{row['tokens']:>8} {row['dims']:>5}  {row['method']:<12}"
    if "error" in row:
        print(f"{head} {row['error'][:80]}", flush=True)
        return
    ratios = "".join(
        f"{row['seconds'] / reference[name]:>12.2f}" if name in reference else f"{'':>12}"
        for name in ("products", "lower_limit", "dense_form")
    )
    print(f"{head} {row['seconds']:>9.2f} {row['extra_mb']:>9.0f}{ratios}", flush=True)


def print_growth(rows: list[dict[str, Any]], target: int) -> None:
    """Fit seconds = a N^b to each method's two largest sizes; extrapolate to the paper's number of tokens."""
    print(f"\n{'growth':<12} {'dims':>5} {'exponent':>9}   at {target:,} tokens")
    for method, width in dict.fromkeys((row["method"], row["dims"]) for row in rows):
        times = sorted(
            (row["tokens"], row["seconds"])
            for row in rows
            if (row["method"], row["dims"]) == (method, width) and "error" not in row
        )
        if len(times) > 1:
            (small, first), (large, last) = times[-2:]
            exponent = math.log(last / first) / math.log(large / small)
            seconds = last * (target / large) ** 2
            print(f"{method:<12} {width:>5} {exponent:>9.2f}   {seconds:,.0f} s (as N^2)")


def run_section(arguments: argparse.Namespace, methods: list[str]) -> list[dict[str, Any]]:
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{arguments.threads} CPU threads"
    print(f"\n{where}, {arguments.clock} time, {arguments.kind} tokens, k={arguments.k}, K={arguments.ratio:.0%}")
    columns = ("s", "extra MB", "/products", "/limit", "/dense")
    print(f"{'tokens':>8} {'dims':>5}  {'method':<12}{columns[0]:>10}{columns[1]:>10}", end="")
    print("".join(f"{name:>12}" for name in columns[2:]), flush=True)
    rows = []
    for width in arguments.dims:
        for total in arguments.tokens:
            batch = []
            for name in methods:
                heavy = name in ("dense", "dense_form", "keops") and arguments.device == "cpu"
                if heavy and total > arguments.dense_up_to:
                    continue
                batch.append(run_child(arguments, name, total, width))
            reference = {row["method"]: row["seconds"] for row in batch if "error" not in row}
            for row in batch:
                print_row(row, reference)
            rows += batch
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 8192, 16384, 32768, 65536])
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 300])
    parser.add_argument("--methods", nargs="+", default=None, help=f"some of {', '.join(CPU_METHODS)}, dense")
    parser.add_argument("--k", type=int, default=16)
    parser.add_argument("--ratio", type=float, default=0.02, help="prototypes per token")
    parser.add_argument("--kind", choices=["clustered", "random"], default="clustered")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: needs --threads 1 to compare")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--dense-up-to", type=int, default=16384, help="largest N for dense_form and keops on CPU")
    parser.add_argument("--extrapolate-to", type=int, default=541_126)
    parser.add_argument("--json", type=Path, default=None, help="also write the rows here")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help=argparse.SUPPRESS)
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--passes", action="store_true", help="time the reductions of tiled and keops apart")
    arguments = parser.parse_args()
    if arguments.passes:
        print_passes(arguments)
        return
    if arguments.child:
        print(json.dumps(measure(arguments)))
        return
    rows = run_section(arguments, arguments.methods or list(CPU_METHODS))
    print_growth(rows, arguments.extrapolate_to)
    if torch.cuda.is_available():
        arguments.device, arguments.clock = "cuda", "wall"
        on_gpu = run_section(arguments, arguments.methods or list(CUDA_METHODS))
        print_growth(on_gpu, arguments.extrapolate_to)
        rows += [{**row, "device": "cuda"} for row in on_gpu]
    else:
        print("\nno CUDA device: its section was left out")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
