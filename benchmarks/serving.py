"""What serving costs: opening a bundle, ranking a file, and a server under load while its bundle changes.

    python -m missrec_pl.serving export outputs/shop outputs/shop-bundle
    python benchmarks/serving.py outputs/shop-bundle --requests 400 --clients 8 --swaps 10

Loopback alone, and so many requests, no more. Histories are random items, 3 to 20 of them.
"""

import argparse
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

_OPENED = """
import sys, time
import torch
start, cpu = time.perf_counter(), time.process_time()
from missrec_pl.serving import load
served = load(sys.argv[1])
print(f"open: {served.num_items:,} items, {time.perf_counter() - start:.2f} s "
      f"({time.process_time() - cpu:.2f} CPU s) after torch is imported")
"""


def histories_of(bundle: Path, count: int) -> list[list[str]]:
    ids = pq.read_table(bundle / "items.parquet")["raw_id"].to_pylist()
    chance = random.Random(0)
    return [chance.choices(ids, k=chance.randint(3, 20)) for _ in range(count)]


def measure_batch(bundle: Path, histories: list[list[str]], folder: Path) -> None:
    path, out = folder / "histories.parquet", folder / "recs.parquet"
    pq.write_table(pa.table({"history": histories}), path)
    command = [sys.executable, "-m", "missrec_pl.serving", "recommend", str(bundle), "--k", "20"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command, "--histories", str(path), "--out", str(out)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime
    print(
        f"batch: {len(histories):,} histories, {time.perf_counter() - start:.1f} s ({cpu:.1f} CPU s, start-up "
        f"included), at most {after.ru_maxrss / 1024:,.0f} MB"
    )


def started(bundle: Path, log: Path) -> tuple[subprocess.Popen[bytes], str]:
    command = [sys.executable, "-m", "missrec_pl.serving", "serve", str(bundle), "--port", "0"]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    while not (found := re.search(r"at (http://127\.0\.0\.1:\d+)", log.read_text())):
        if process.poll() is not None:
            sys.exit(log.read_text())
        time.sleep(0.1)
    return process, found[1]


def measure_server(bundle: Path, histories: list[list[str]], clients: int, swaps: int, folder: Path) -> None:
    process, address = started(bundle, folder / "log")
    seconds: list[float] = []
    statuses: Counter[int | str] = Counter()

    def ask(mine: list[list[str]]) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            for history in mine:
                start = time.perf_counter()
                try:
                    status = client.post("/recommend", json={"history": history}).status_code
                except httpx.HTTPError as error:
                    status = type(error).__name__
                seconds.append(time.perf_counter() - start)
                statuses[status] += 1

    threads = [threading.Thread(target=ask, args=(histories[number::clients],)) for number in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for _ in range(swaps):
        time.sleep(0.5)
        process.send_signal(signal.SIGHUP)
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - start
    done, waited = 0, time.perf_counter()
    while done < swaps and time.perf_counter() - waited < 60:
        time.sleep(0.1)
        done = (folder / "log").read_text().count("in the place of")
    process.send_signal(signal.SIGTERM)
    code = process.wait(60)
    seconds.sort()
    p50, p99 = (1000 * seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.99))
    print(
        f"server: {len(seconds)} requests of {clients} clients, {len(seconds) / whole:.0f}/s, p50 {p50:.0f} ms, "
        f"p99 {p99:.0f} ms, statuses {dict(statuses)}, {done} bundles read anew, exit code {code}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--histories", type=int, default=20_000, help="of the file that is ranked")
    arguments = parser.parse_args()
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    subprocess.run([sys.executable, "-c", _OPENED, str(arguments.bundle)], check=True)
    with tempfile.TemporaryDirectory() as folder:
        measure_batch(arguments.bundle, histories_of(arguments.bundle, arguments.histories), Path(folder))
        asked = histories_of(arguments.bundle, arguments.requests)
        measure_server(arguments.bundle, asked, arguments.clients, arguments.swaps, Path(folder))


if __name__ == "__main__":
    main()
