"""Time and memory of the simple baselines on a synthetic domain of any size.

    python benchmarks/baselines.py --users 8442 --items 4385
    python benchmarks/baselines.py --users 1400000 --items 450000
    python benchmarks/baselines.py --items 60000 --recall

Sequences wander within a few clusters of items, popular items more often; features are a cluster's direction and
noise, text for all items and images for a third, kept as float16 in a temporary folder and mapped from there.
Every baseline is fitted, its constants are chosen on validation, and every test user is ranked among all items,
under both protocols. `seconds` counts all of that, `peak MB` is the process with everything that it has loaded.
`--recall` asks instead which share of the true nearest neighbours the search in cells finds.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from missrec_pl.baselines import BaselineData, HeldOut, evaluate_baselines
from missrec_pl.baselines.neighbours import top_neighbours
from missrec_pl.fitting.whitening import PrincipalAxes

CHUNK = 100_000
MAX_LENGTH = 50
ITEMS_PER_CLUSTER = 200


def make_sequences(users: int, items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Flat int32 items and offsets: 8 items per user on average, at least 3, all of two clusters but a fifth."""
    random = np.random.default_rng(seed)
    clusters = max(1, items // ITEMS_PER_CLUSTER)
    lengths = np.minimum(2 + random.geometric(1 / 6, users), MAX_LENGTH)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.empty(offsets[-1], dtype=np.int32)
    for start in range(0, users, CHUNK):
        stop = min(start + CHUNK, users)
        count = offsets[stop] - offsets[start]
        owner = np.repeat(np.arange(stop - start), lengths[start:stop])
        homes = (clusters * random.random((stop - start, 2)) ** 1.5).astype(np.int64)  # some are visited more
        cluster = homes[owner, random.integers(0, 2, count)]
        wanders = random.random(count) < 0.2
        cluster[wanders] = random.integers(0, clusters, wanders.sum())
        place = (ITEMS_PER_CLUSTER * random.random(count) ** 3).astype(np.int64)  # popular first
        flat[offsets[start] : offsets[stop]] = 1 + np.minimum(cluster * ITEMS_PER_CLUSTER + place, items - 1)
    return flat, offsets


def make_features(path: Path, items: int, width: int, coverage: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A memory map ``[N + 1, width]`` and which items have the modality."""
    random = np.random.default_rng(seed)
    present = random.random(items + 1) < coverage
    present[0] = False
    directions = random.normal(size=(items // ITEMS_PER_CLUSTER + 1, width)).astype(np.float32)
    features = open_memmap(path, mode="w+", dtype=np.float16, shape=(items + 1, width))
    for start in range(0, items + 1, CHUNK):
        ids = np.arange(start, min(start + CHUNK, items + 1))
        rows = directions[np.maximum(ids - 1, 0) // ITEMS_PER_CLUSTER]
        rows = rows + random.normal(size=rows.shape).astype(np.float32)
        features[ids] = np.where(present[ids, None], rows / np.linalg.norm(rows, axis=1, keepdims=True), 0)
    features.flush()
    return np.load(path, mmap_mode="r"), present


def split(flat: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, HeldOut, HeldOut]:
    """Leave one out: training parts, validation and test histories with their targets."""
    lengths = np.diff(offsets)

    def before_last(left: int) -> HeldOut:
        kept = np.arange(len(flat)) < np.repeat(offsets[1:] - left, lengths)
        return HeldOut(
            flat[kept], np.concatenate([[0], np.cumsum(lengths - left)]), flat[offsets[1:] - left].astype(np.int32)
        )

    validation, test = before_last(2), before_last(1)
    return validation.items, validation.offsets, validation, test


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(arguments: argparse.Namespace, folder: Path) -> None:
    started = time.perf_counter()
    flat, offsets = make_sequences(arguments.users, arguments.items)
    text, has_text = make_features(folder / "text.npy", arguments.items, 384, 1.0, 1)
    image, has_image = make_features(folder / "image.npy", arguments.items, 512, 0.36, 2)
    train_items, train_offsets, validation, test = split(flat, offsets)
    data = BaselineData(
        train_items,
        train_offsets,
        arguments.items,
        {"text": text, "image": image},
        {"text": has_text, "image": has_image},
    )
    print(
        f"{arguments.users:,} users, {arguments.items:,} items, {len(flat):,} interactions, made in "
        f"{time.perf_counter() - started:.0f} s, {peak_mb():.0f} MB so far; {torch.get_num_threads()} threads"
    )
    started = time.perf_counter()
    report = evaluate_baselines(data, test, validation=validation, names=arguments.names)
    total = time.perf_counter() - started
    print(f"{'':18}  seconds  N@10 in  N@10 ex  R@50 ex")
    for name, seconds in report.seconds.items():
        included, excluded = report.included[name], report.excluded[name]
        values = (included["test/ndcg@10"], excluded["test/ndcg@10"], excluded["test/recall@50"])
        print(f"{name:18}  {seconds:7.1f}" + "".join(f"  {value:7.4f}" for value in values))
    for name, reason in report.left_out.items():
        print(f"{name} is left out: {reason}")
    print(f"total {total:.1f} s, peak {peak_mb():.0f} MB")
    if arguments.json:
        row = {"users": arguments.users, "items": arguments.items, "seconds": total, "peak_mb": peak_mb()}
        arguments.json.write_text(json.dumps({**row, "by_baseline": report.seconds}, indent=1))


def recall(arguments: argparse.Namespace, folder: Path) -> None:
    text, has_text = make_features(folder / "text.npy", arguments.items, 384, 1.0, 1)
    full = PrincipalAxes(text, has_text).unit_vectors(0.5)
    few = PrincipalAxes(text, has_text, max_axes=128).unit_vectors(0.5)
    exact = top_neighbours(full, 100, exact_up_to=arguments.items)
    for name, vectors, exact_up_to in (("128 axes", few, arguments.items), ("128 axes, cells", few, 0)):
        started = time.perf_counter()
        found = top_neighbours(vectors, 100, exact_up_to=exact_up_to)
        seconds = time.perf_counter() - started
        shared = (exact.astype(bool) * found.astype(bool)).nnz / exact.nnz
        print(f"{name}: {shared:.3f} of the 100 nearest, {seconds:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--names", nargs="+", default=None, help="default: all")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--recall", action="store_true", help="quality of the neighbour search instead")
    parser.add_argument("--json", type=Path, default=None, help="also write the seconds here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        (recall if arguments.recall else run)(arguments, Path(folder))


if __name__ == "__main__":
    main()
