"""The comparison of all networks, unattended: search, seeds, other data, in runs of known cost.

    python benchmarks/comparison.py run --hours 4    # MISSREC_DATA_DIR says where the data is
    python benchmarks/comparison.py status           # what is done

Every run leaves a small record below `docs/comparison`: its results without its files, and of a test the ranks up
to 50. A run that has a record is never repeated: work goes on from what was committed, on any machine. One that is
stopped (Ctrl-C, a signal, the end of the hours) goes on from its last checkpoint in the work folder next time. One
that fails is left, told at the end, and tried again by `--retry`. `comparison_plan.py` says what is run, in which
order, with which budget; `python -m missrec_pl.report table2 docs/comparison` prints the table.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from comparison_plan import COLUMNS, EPOCHS, PATIENCE, ROOT, SIMPLE, Job, best_point, job, read, rounds
from filelock import FileLock, Timeout

from missrec_pl.report.runs.ranks import EXCLUDED, RANK, packed
from missrec_pl.system.files import RANKS_NAME, RESULTS_NAME, whole_file
from missrec_pl.system.one_writer import LOCK_NAME, one_writer

RECORDS = ROOT / "docs" / "comparison"
FAILED = "failed.txt"
LEFT_OUT = ("checkpoint", "ckpt", "interest_refresh_s")
OF_THE_TEST = (
    *("metrics_history_excluded", "metrics_beyond_accuracy"),
    *("num_test_users", "num_evaluated_users"),
)
_STOP_SECONDS = 60


class StoppedError(Exception):
    """The hours are over, or somebody said so."""


class Driver:
    """Runs jobs one after the other.

    Args:
        work: folder of the runs, with their checkpoints.
        records: folder of the records.
        hours: when to stop.
        retry: whether runs that have failed before are tried again.
    """

    def __init__(self, work: Path, records: Path, hours: float, retry: bool = False) -> None:
        self.work, self.records, self.retry = work, records, retry
        self.deadline = time.monotonic() + 3600 * hours
        self.failed: list[Path] = []
        self.child: subprocess.Popen[bytes] | None = None
        self.is_stopped = False

    def stop(self, *_: Any) -> None:
        """End the run that is going on, so that it can go on later."""
        self.is_stopped = True
        if self.child is not None and self.child.poll() is None:
            self.child.terminate()

    def work_off(self) -> None:
        """All that is left of the plan, until it or the time has ended."""
        try:
            while (one := self.next()) is not None:
                self.make(one)
        except StoppedError:
            print("stopped: the same command goes on", flush=True)

    def next(self) -> Job | None:
        """The first run of the plan that has no record and has not failed."""
        for one in rounds(self.records):
            if read(self.records, one) is None and not self._has_failed(one):
                return one
        return None

    def make(self, one: Job) -> None:
        """Run a job and write its record. A failure is noted."""
        started = time.monotonic()
        print(f"{time.strftime('%H:%M:%S')} {one.folder}", flush=True)
        run = self.work / one.folder
        try:
            results = self._known(one) or self._tested(one) or self._trained(one)
            if one.stage != SIMPLE:
                results["comparison"] = {
                    "stage": one.stage, "column": one.column, "rate": one.rate, "dropout": one.dropout,
                    "epochs": EPOCHS, "patience": PATIENCE, "words": list(one.words),
                }  # fmt: skip
            write_record(self.records / one.folder / RESULTS_NAME, results, run / RANKS_NAME, self.work)
        except (subprocess.CalledProcessError, OSError, KeyError, ValueError) as error:
            self.failed.append(one.folder)
            (run / FAILED).parent.mkdir(parents=True, exist_ok=True)
            (run / FAILED).write_text(f"{error}\n")
            print(f"  failed: {error}; see {run / 'log.txt'}", flush=True)
            return
        (run / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
        metrics = results["metrics"]
        told = [f"{name} {metrics[name]:.4f}" for name in ("val/ndcg@10", "test/ndcg@10") if name in metrics]
        print(f"  {', '.join([*told, f'{time.monotonic() - started:.0f} s'])}", flush=True)

    def _has_failed(self, one: Job) -> bool:
        file = self.work / one.folder / FAILED
        if self.retry and one.folder not in self.failed:
            file.unlink(missing_ok=True)
        return file.exists()

    def _trained(self, one: Job) -> dict[str, Any]:
        """Train, from the last checkpoint where the run was stopped."""
        run, words = self.work / one.folder, list(one.words)
        if one.start is not None:
            words.append(f"ckpt={self._weights(one.start)}")
        self._command("train.py", run, [*words, "resume=last"])
        results: dict[str, Any] = json.loads((run / RESULTS_NAME).read_text())
        return results

    def _known(self, one: Job) -> dict[str, Any] | None:
        """What a test with the same settings and seed has said of validation."""
        found = read(self.records, replace(one, stage="seeds")) if one.stage == "search" else None
        if found is None:
            return None
        metrics = {name: value for name, value in found["metrics"].items() if not name.startswith("test/")}
        kept = {name: value for name, value in found.items() if name not in (*OF_THE_TEST, "ranks")}
        return {**kept, "metrics": metrics, "overrides": [*found["overrides"], "test=false"]}

    def _tested(self, one: Job) -> dict[str, Any] | None:
        """Test what the search has trained with the same settings and seed, where its weights are still here."""
        found = self.work / one.folder.with_name(f"search-{one.seed}")
        results, weights = found / RESULTS_NAME, found / "checkpoints" / "best.ckpt"
        if one.stage != "seeds" or not results.is_file() or not weights.is_file():
            return None
        self._command("eval.py", run := self.work / one.folder, [f"ckpt={weights}"])
        trained, tested = (json.loads((folder / RESULTS_NAME).read_text()) for folder in (found, run))
        metrics = trained["metrics"] | tested["metrics"]
        overrides = [word for word in trained["overrides"] if word != "test=false"]
        return {
            **trained,
            **{name: tested[name] for name in OF_THE_TEST},
            "metrics": metrics,
            "overrides": overrides,
        }

    def _weights(self, start: Job) -> Path:
        """The weights of a run that others start from; it is made where they are not here."""
        run = self.work / start.folder
        if not (run / RESULTS_NAME).is_file():
            self._command("train.py", run, [*start.words, "resume=last"])
        return next(
            run / "checkpoints" / name
            for name in ("best.ckpt", "last.ckpt")
            if (run / "checkpoints" / name).is_file()
        )

    def _command(self, script: str, run: Path, words: list[str]) -> None:
        """A command in a process of its own, with one thread.

        Raises:
            StoppedError: time was over, before or while it ran.
            CalledProcessError: it failed.
        """
        run.mkdir(parents=True, exist_ok=True)
        self._wait_for(run)
        if self.is_stopped or time.monotonic() > self.deadline:
            raise StoppedError
        command = [sys.executable, str(ROOT / script), *words, f"hydra.run.dir={run.resolve()}"]
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        with (run / "log.txt").open("ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT)
            try:
                code = self.child.wait(max(0.0, self.deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.stop()
                code = self._ended(self.child)
        if self.is_stopped:
            raise StoppedError
        if code:
            raise subprocess.CalledProcessError(code, [script, *words])

    def _wait_for(self, run: Path) -> None:
        """Let a run end that a killed driver has left behind."""
        left = max(0.0, self.deadline - time.monotonic())
        with suppress(Timeout), FileLock(run / LOCK_NAME).acquire(timeout=left):
            pass

    @staticmethod
    def _ended(child: subprocess.Popen[bytes]) -> int:
        try:
            return child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def write_record(target: Path, results: dict[str, Any], ranks: Path, work: Path) -> None:
    """Write what a run has measured, whole or not at all; its test's ranks packed as `report` reads them.

    Paths below the work folder are written as seen from there.
    """
    kept = {name: value for name, value in results.items() if name not in LEFT_OUT}
    kept["timing"] = {name: value for name, value in results["timing"].items() if name not in LEFT_OUT}
    kept["timing"]["epoch_s"] = [round(seconds, 1) for seconds in kept["timing"].get("epoch_s", [])]
    if ranks.is_file():
        table = pq.read_table(ranks)
        kept["ranks"] = {name: packed(table[name].to_numpy()) for name in (RANK, EXCLUDED)}
    with whole_file(target) as part:
        text = json.dumps(kept, indent=1, allow_nan=False).replace(f"{work}/", "")
        part.write_text(text + "\n", encoding="utf-8")


def status(records: Path) -> None:
    """What each network has so far."""
    for column in COLUMNS:
        points = column.grid_points()
        tried = sum(read(records, job(column, "search", point, 0)) is not None for point in points)
        best = best_point(records, column)
        tested = (
            sum(read(records, job(column, "seeds", best, seed)) is not None for seed in range(8)) if best else 0
        )
        print(f"{column.name:<18}{tried} of {len(points)} grid points, best {best}, {tested} seeds tested")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "status"))
    parser.add_argument(
        "--hours", type=float, default=10.0, help="then the run that is going on is stopped; default: 10"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "outputs" / "comparison", help="runs and checkpoints")
    parser.add_argument("--records", type=Path, default=RECORDS, help="default: docs/comparison")
    parser.add_argument("--retry", action="store_true", help="try what has failed again")
    options = parser.parse_args()
    if options.what == "status":
        status(options.records)
        return 0
    driver = Driver(options.work.resolve(), options.records, options.hours, options.retry)
    signal.signal(signal.SIGTERM, driver.stop)
    signal.signal(signal.SIGINT, driver.stop)
    options.work.mkdir(parents=True, exist_ok=True)
    with one_writer(driver.work):
        driver.work_off()
    if driver.failed:
        print(f"{len(driver.failed)} failed: {', '.join(map(str, driver.failed))}")
    return int(bool(driver.failed))


if __name__ == "__main__":
    sys.exit(main())
