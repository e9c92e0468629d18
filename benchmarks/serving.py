"""What serving costs: the first recommendation of a process, files of histories, a server under load.

    python -m missrec_pl.serving export outputs/shop outputs/shop-bundle
    python benchmarks/serving.py outputs/shop-bundle --requests 400 --clients 8 --swaps 10
    python benchmarks/serving.py outputs/shop-bundle --requests 0 --starts 0 --histories 10000 100000 1000000

Loopback alone, and so many requests, no more. Histories are random items, 3 to 20 of them.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def histories_of(bundle: Path, count: int) -> pa.Array:
    ids = pq.read_table(bundle / "items.parquet")["raw_id"].combine_chunks()
    chance = np.random.default_rng(0)
    ends = chance.integers(3, 21, count, dtype=np.int32).cumsum(dtype=np.int32)
    chosen = ids.take(pa.array(chance.integers(0, len(ids), ends[-1])))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), chosen)


def told(*command: str) -> tuple[float, float, float]:
    """Seconds, CPU seconds and megabytes of a command, from its start to its end."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(said.decode())
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def measure_start(bundle: Path, times: int) -> None:
    """From the start of a process to its first recommendation; the least of several is that of an idle machine."""
    history = ",".join(histories_of(bundle, 1)[0].as_py())
    runs = [told("-m", "missrec_pl.serving", "recommend", str(bundle), "--history", history) for _ in range(times)]
    imported = [told("-c", "import torch")[:2] for _ in range(times)]
    for name, seconds in (("first recommendation", runs), ("import torch alone", imported)):
        wall, cpu = (min(one[place] for one in seconds) for place in (0, 1))
        print(f"start: {name}, {wall:.2f} s ({cpu:.2f} CPU s), the least of {times}")


def measure_batch(bundle: Path, count: int, folder: Path) -> None:
    path, out = folder / "histories.parquet", folder / "recs.parquet"
    pq.write_table(pa.table({"history": histories_of(bundle, count)}), path)
    command = ["-m", "missrec_pl.serving", "recommend", str(bundle), "--k", "20", "--overwrite"]
    seconds, cpu, megabytes = told(*command, "--histories", str(path), "--out", str(out))
    assert pq.read_metadata(out).num_rows == 20 * count
    print(
        f"batch: {count:,} histories, {seconds:.1f} s ({cpu:.1f} CPU s, {1000 * cpu / count:.2f} ms each, with "
        f"the start), at most {megabytes:,.0f} MB",
        flush=True,
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
    parser.add_argument("--histories", type=int, nargs="*", default=[20_000], help="of the files that are ranked")
    parser.add_argument("--starts", type=int, default=5, help="processes whose start is measured")
    arguments = parser.parse_args()
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    if arguments.starts:
        measure_start(arguments.bundle, arguments.starts)
    with tempfile.TemporaryDirectory() as folder:
        for count in arguments.histories:
            measure_batch(arguments.bundle, count, Path(folder))
        if arguments.requests:
            asked = histories_of(arguments.bundle, arguments.requests).to_pylist()
            measure_server(arguments.bundle, asked, arguments.clients, arguments.swaps, Path(folder))


if __name__ == "__main__":
    main()
