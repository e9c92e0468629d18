"""Time and memory of ``prepare interactions`` at the size of the paper's pre-training mix; its core checked.

python benchmarks/interactions.py [--interactions 14000000 --users 1400000 --items 447000] [--threads 2]
    [--recbole PYTHON]

Writes ratings and metadata in the layout of Amazon Reviews 2018 to a temporary folder and converts them in a
process of its own. Prints wall and CPU seconds and that process's peak memory, then converts 100,000 rows and
compares what is left with a plain reference, row by row. ``--recbole`` names the Python of an environment that has
RecBole: the same interactions are then written as its atomic file, and both read it, leave out repeats and take
the 5-core; what is left has to be the same.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as pc

from missrec_pl.data.domain.folder import Domain

BLOCK = 2_000_000


def write_source(folder: Path, interactions: int, users: int, items: int, seed: int = 0) -> tuple[Path, Path]:
    """Long-tailed users and items, times in days: most of what a 5-core removes, and most ties, are there."""
    random = np.random.default_rng(seed)
    ratings, metadata = folder / "ratings.csv", folder / "meta.json"
    activity = random.lognormal(0, 0.9, users)
    popularity = random.lognormal(0, 1.2, items)
    of_users, of_items = np.cumsum(activity) / activity.sum(), np.cumsum(popularity) / popularity.sum()
    options = pc.WriteOptions(include_header=False, quoting_style="none")
    with ratings.open("wb") as stream:
        for start in range(0, interactions, BLOCK):
            size = min(BLOCK, interactions - start)
            who = np.searchsorted(of_users, random.random(size)).clip(max=users - 1)
            what = np.searchsorted(of_items, random.random(size)).clip(max=items - 1)
            table = {
                "item": pa.array(np.char.add("B", np.char.zfill(what.astype("U9"), 9))),
                "user": pa.array(np.char.add("A", np.char.zfill(who.astype("U13"), 13))),
                "rating": pa.array(random.integers(1, 6, size)),
                "time": pa.array(random.integers(10_000, 17_000, size) * 86_400),
            }
            pc.write_csv(pa.table(table), stream, options)
    with metadata.open("w") as stream:
        for item in range(items):
            title = "" if item % 50 == 0 else f"Thing number {item}"
            stream.write(f'{{"asin": "B{item:09}", "title": "{title}", "category": ["Home"], "brand": "Acme"}}\n')
    return ratings, metadata


def convert(ratings: Path, metadata: Path, out: Path, threads: int, memory: str) -> str:
    """What the command costs."""
    command = [sys.executable, "-m", "missrec_pl.prepare", "interactions", str(ratings), str(out)]
    command += ["--format", "amazon2018", "--metadata", str(metadata), "--overwrite"]
    return measured([*command, "--threads", str(threads), "--memory", memory])


def measured(command: list[str]) -> str:
    """Wall and CPU seconds and peak resident memory of a command."""
    started, peak, cpu = time.perf_counter(), 0, 0.0
    with subprocess.Popen(command) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                peak = max(peak, watched.memory_info().rss)
                cpu = sum(watched.cpu_times()[:2])
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(process.returncode)
    return f"{time.perf_counter() - started:.1f} s, {cpu:.1f} s of CPU, peak {peak / 1e9:.2f} GB"


def plain_core(rows: list[list[str]], known: set[str], k: int = 5) -> set[tuple[str, str]]:
    """Pairs of user and item that the filters leave, in plain Python."""
    pairs = {(user, item) for item, user, *_ in rows if item in known}
    while True:
        users, items = Counter(user for user, _ in pairs), Counter(item for _, item in pairs)
        left = {pair for pair in pairs if users[pair[0]] >= k and items[pair[1]] >= k}
        if len(left) == len(pairs):
            return left
        pairs = left


def pairs_of(path: Path) -> set[tuple[str, str]]:
    domain = Domain.open(path)
    ids, users = domain.raw_item_ids(), domain.raw_user_ids()
    return {(user, ids[item]) for number, user in enumerate(users) for item in domain.sequences.of(number)}


RECBOLE = """
import sys
import numpy as np
for old, new in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
    if not hasattr(np, old):  # RecBole 1.2.1 asks for names that NumPy 2 dropped
        setattr(np, old, new)
from recbole.config import Config
from recbole.data import create_dataset
sys.argv[1:], (folder, name) = [], sys.argv[1:3]
settings = {"data_path": folder, "use_gpu": False, "train_neg_sample_args": None, "rm_dup_inter": "first",
            "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp",
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[5,inf)"}
found = create_dataset(Config(model="SASRec", dataset=name, config_dict=settings))
counts = len(found.inter_feat), found.user_num - 1, found.item_num - 1
print("RecBole: {:,} interactions, {:,} users, {:,} items".format(*counts))
"""
"""Reads an atomic file as RecBole does: a child's program."""


def beside_recbole(python: str, ratings: Path, folder: Path, threads: int, memory: str) -> None:
    """Both read one atomic file, leave out repeats and take the 5-core; prints what each costs and leaves."""
    atomic = folder / "atomic"
    atomic.mkdir()
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    with ratings.open() as source, (atomic / "atomic.inter").open("w") as target:
        target.write(header)
        for line in source:
            item, user, *rest = line.rstrip("\n").split(",")
            target.write("\t".join([user, item, *rest]) + "\n")
    command = [
        sys.executable,
        "-m",
        "missrec_pl.prepare",
        "interactions",
        str(atomic),
        str(folder / "from_atomic"),
    ]
    command += ["--format", "atomic", "--keep-items-without-text", "--threads", str(threads), "--memory", memory]
    print(f"prepare interactions --format atomic: {measured(command)}", flush=True)
    print(f"RecBole: {measured([python, '-c', RECBOLE, str(folder), 'atomic'])}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=14_000_000)
    parser.add_argument("--users", type=int, default=1_400_000)
    parser.add_argument("--items", type=int, default=447_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--recbole", metavar="PYTHON", help="of an environment with RecBole")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratings, metadata = write_source(folder, arguments.interactions, arguments.users, arguments.items)
        print(f"source: {ratings.stat().st_size / 1e6:,.0f} MB of ratings", flush=True)
        cost = convert(ratings, metadata, folder / "out", arguments.threads, arguments.memory)
        print(f"{arguments.interactions:,} interactions on {arguments.threads} threads: {cost}")
        if arguments.recbole:
            beside_recbole(arguments.recbole, ratings, folder, arguments.threads, arguments.memory)
        small = folder / "small"
        small.mkdir()
        ratings, metadata = write_source(small, 100_000, 9_000, 3_000, seed=1)
        convert(ratings, metadata, folder / "small_out", arguments.threads, arguments.memory)
        rows = [line.split(",") for line in ratings.read_text().splitlines()]
        # An item without a title still has a category and a brand here: all of them are known.
        expected = plain_core(rows, {f"B{item:09}" for item in range(3_000)})
        equal = pairs_of(folder / "small_out") == expected
        print(f"100,000 rows: {len(expected):,} pairs, {'equal to' if equal else 'NOT'} the plain reference's")
        if not equal:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
