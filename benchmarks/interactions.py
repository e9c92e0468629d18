"""Time and memory of ``prepare interactions`` on long logs, beside RecBole and UniSRec; its core checked.

python benchmarks/interactions.py [--interactions 20000000 --users 2000000 --items 1000000] [--layouts csv csv.gz
    parquet] [--recbole PYTHON] [--unisrec FOLDER] [--limit 4] [--threads 2] [--memory 2GB]

Writes ratings and metadata in the layout of Amazon Reviews 2018 to a temporary folder: items by Zipf's law, users
long-tailed, times in days. Each program runs by itself; wall and CPU seconds and the peak memory of its processes
are printed. One that needs more than ``--limit`` GiB is ended and said to have run out of memory.

``--recbole`` names the Python of an environment with RecBole: it reads the same interactions as its atomic file,
leaves out repeats and takes the 5-core, which has to leave what is left here. ``--unisrec`` names the folder
``dataset/preprocessing`` of UniSRec's sources: its published steps without the language model, from ratings and
metadata to its files; it keeps repeated interactions. Then 100,000 rows are compared with a plain reference.
"""

import argparse
import gzip
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from missrec_pl.data.domain.folder import Domain

BLOCK = 2_000_000
NAME = "Industrial_and_Scientific"  # as UniSRec's published steps look for it
PEERS = Path(__file__).parent / "peers" / "interactions_run.py"
COLUMNS = ("item", "user", "rating", "time")


def blocks(interactions: int, users: int, items: int, seed: int) -> Iterator[pa.Table]:
    """Interactions, some of which repeat; most of what a 5-core removes, and most ties of times, are there."""
    random = np.random.default_rng(seed)
    activity = np.cumsum(random.lognormal(0, 0.9, users))
    popularity = np.cumsum((np.arange(items) + 20.0) ** -0.8)
    names = random.permutation(items)  # popular items are spread over the ids
    for start in range(0, interactions, BLOCK):
        size = min(BLOCK, interactions - start)
        who = np.searchsorted(activity, random.random(size) * activity[-1])
        what = names[np.searchsorted(popularity, random.random(size) * popularity[-1])]
        times = pa.array(random.integers(10_000, 17_000, size) * 86_400)
        columns = [ids("B", what, 9), ids("A", who, 13), pa.array(random.integers(1, 6, size)), times]
        yield pa.table(columns, names=list(COLUMNS))


def ids(letter: str, numbers: np.ndarray, width: int) -> pa.Array:
    padded = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(letter, padded, "")


def write_source(folder: Path, interactions: int, users: int, items: int, seed: int = 0) -> tuple[Path, Path]:
    """The ratings as CSV, where UniSRec looks for them, and the metadata as gzipped JSON lines."""
    ratings, metadata = folder / "Ratings" / f"{NAME}.csv", folder / "Metadata" / f"meta_{NAME}.json.gz"
    for path in (ratings, metadata):
        path.parent.mkdir(parents=True)
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    with ratings.open("wb") as stream:
        for table in blocks(interactions, users, items, seed):
            pyarrow.csv.write_csv(table, stream, options)
    words = [f"word{number}" for number in range(5_000)]
    chosen = np.random.default_rng(seed).integers(0, len(words), (items, 8))
    with gzip.open(metadata, "wt", compresslevel=1) as stream:
        for item, row in enumerate(chosen):
            title = "" if item % 50 == 0 else " ".join(words[word] for word in row)
            stream.write(f'{{"asin": "B{item:09}", "title": "{title}", "category": ["Home"], "brand": "Acme"}}\n')
    return ratings, metadata


def in_layout(layout: str, ratings: Path) -> Path:
    """The ratings in another layout, beside them: ``csv.gz``, ``parquet``, or ``atomic``: RecBole's, a folder."""
    if layout == "csv":
        return ratings
    names = pyarrow.csv.ReadOptions(column_names=list(COLUMNS))
    reader = pyarrow.csv.open_csv(ratings, read_options=names)
    if layout == "parquet":
        path = ratings.with_suffix(".parquet")
        with pq.ParquetWriter(path, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
    elif layout == "csv.gz":
        path = ratings.with_suffix(".csv.gz")
        with ratings.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as target:
            while block := source.read(1 << 22):
                target.write(block)
    else:
        path = ratings.parent / "atomic"
        path.mkdir()
        with (path / "atomic.inter").open("wb") as stream:
            stream.write(b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
            for batch in reader:
                table = pa.Table.from_batches([batch]).select(["user", "item", "rating", "time"])
                options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
                pyarrow.csv.write_csv(table, stream, options)
    return path


def command_for(layout: str, source: Path, metadata: Path, out: Path) -> list[str]:
    command = [sys.executable, "-m", "missrec_pl.prepare", "interactions", str(source), str(out), "--overwrite"]
    if layout == "parquet":
        named = [part for name in COLUMNS for part in (f"--{name}", name)]
        text = ["--item-id", "asin", "--text", "title,category,brand"]
        return [*command, "--format", "table", *named, *text, "--metadata", str(metadata)]
    if layout == "atomic":
        return [*command, "--format", "atomic", "--keep-items-without-text"]
    return [*command, "--format", "amazon2018", "--metadata", str(metadata)]


def measured(command: list[str], limit: float) -> str:
    """Wall and CPU seconds and peak resident memory of a command's processes; ended beyond ``limit`` GiB."""
    started, peak, cpu, told = time.perf_counter(), 0, 0.0, ""
    with tempfile.TemporaryFile("w+") as log:
        with psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process:
            while process.poll() is None:
                try:
                    held = [one.memory_info().rss for one in (process, *process.children(recursive=True))]
                    cpu = sum(process.cpu_times()[:4])
                except psutil.Error:
                    continue
                peak = max(peak, sum(held))
                if peak > limit * 2**30:
                    process.kill()
                    told = f", OUT OF MEMORY ({limit:g} GiB)"
                time.sleep(0.05)
        log.seek(0)
        lines = [line.strip() for line in log.read().replace("\r", "\n").splitlines() if line.strip()]
    if process.returncode and not told:
        raise SystemExit("\n".join(lines[-20:]))
    minutes = (time.perf_counter() - started) / 60
    left = next((f"; {' '.join(line.split())}" for line in reversed(lines) if " interactions" in line), "")
    return f"{minutes:.1f} min, {cpu:.0f} s of CPU, peak {peak / 2**30:.2f} GiB{told or left}"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, default=2_000_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--layouts", nargs="*", default=["csv"], choices=("csv", "csv.gz", "parquet", "atomic"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="2GB", help="of DuckDB")
    parser.add_argument("--limit", type=float, default=4, help="GiB of memory that a program may take")
    parser.add_argument("--recbole", metavar="PYTHON", help="of an environment with RecBole")
    parser.add_argument("--unisrec", metavar="FOLDER", help="dataset/preprocessing of UniSRec's sources")
    arguments = parser.parse_args()
    machine = ["--threads", str(arguments.threads), "--memory", arguments.memory]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratings, metadata = write_source(folder, arguments.interactions, arguments.users, arguments.items)
        print(
            f"{arguments.interactions:,} interactions, {ratings.stat().st_size / 1e6:,.0f} MB as CSV", flush=True
        )
        for layout in arguments.layouts:
            command = command_for(layout, in_layout(layout, ratings), metadata, folder / "out")
            print(f"prepare interactions, {layout}: {measured([*command, *machine], arguments.limit)}", flush=True)
        if arguments.unisrec:
            command = [sys.executable, str(PEERS), "unisrec", arguments.unisrec, str(folder)]
            print(f"UniSRec, csv: {measured(command, arguments.limit)}", flush=True)
        if arguments.recbole:
            if "atomic" not in arguments.layouts:
                in_layout("atomic", ratings)
            command = [arguments.recbole, str(PEERS), "recbole", str(ratings.parent)]
            print(f"RecBole, atomic: {measured(command, arguments.limit)}", flush=True)
        ratings, metadata = write_source(folder / "small", 100_000, 9_000, 3_000, seed=1)
        measured([*command_for("csv", ratings, metadata, folder / "small_out"), *machine], arguments.limit)
        rows = [line.split(",") for line in ratings.read_text().splitlines()]
        # An item without a title still has a category and a brand here: all of them are known.
        expected = plain_core(rows, {f"B{item:09}" for item in range(3_000)})
        equal = pairs_of(folder / "small_out") == expected
        print(f"100,000 rows: {len(expected):,} pairs, {'equal to' if equal else 'NOT'} the plain reference's")
        if not equal:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
