"""Runs that are told to stop, as job schedulers do it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from runs import ROOT, SMALL, run_cli

RUN = ("data=synthetic", *SMALL, "trainer.max_epochs=40", "callbacks.early_stopping=null", "data.batch_size=128")


def stop(process, run_dir):
    """SIGTERM once the first epoch is done; the exit code and what it said last."""
    deadline = time.monotonic() + 120
    while not (run_dir / "checkpoints" / "last.ckpt").is_file():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    return process.returncode, [line for line in stderr.splitlines() if line.startswith("error: ")]


def default_signals():
    """A parent that ignores SIGINT (a background job of a shell) hands that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, preexec_fn=default_signals,
    )  # fmt: skip


def curve(run_dir):
    """Step and training loss of every row."""
    with (run_dir / "csv" / "metrics.csv").open(newline="") as file:
        return [(row["step"], row["train/loss"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_sigterm_is_exit_code_75_and_the_same_command_goes_on(tmp_path):
    command = (*RUN, f"paths.cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'run'}", "resume=last")
    code, errors = stop(start(*command), tmp_path / "run")
    assert code == 75
    (line,) = errors
    assert "stopped by SIGTERM; saved " in line
    before = curve(tmp_path / "run")
    done = run_cli(*command, "trainer.max_epochs=9")
    assert done.returncode == 0, done.stderr
    assert "resume: continuing from" in done.stdout
    assert curve(tmp_path / "run")[: len(before)] == before
    assert len(json.loads((tmp_path / "run" / "results.json").read_text())["timing"]["epoch_s"]) == 9


@pytest.mark.slow
def test_sigterm_stops_both_processes_at_the_same_step(tmp_path):
    command = (
        *RUN, "trainer=ddp_sim", f"paths.cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'run'}",
        "resume=last",
    )  # fmt: skip
    code, errors = stop(start(*command), tmp_path / "run")
    assert code == 75
    words = [line.removeprefix("error: stopped by ").split("; saved ") for line in errors]
    assert "SIGTERM" in [cause for cause, _ in words]
    assert {cause for cause, _ in words} <= {"SIGTERM", "a signal to another process"}
    assert len({where for _, where in words}) == 1  # the same step
    done = run_cli(*command, "trainer.max_epochs=9")
    assert done.returncode == 0, done.stderr
    straight = run_cli(*command[:-2], f"hydra.run.dir={tmp_path / 'straight'}", "trainer.max_epochs=9")
    assert straight.returncode == 0, straight.stderr
    found, expected = (
        json.loads((tmp_path / name / "results.json").read_text())["metrics"] for name in ("run", "straight")
    )
    assert found == expected


@pytest.mark.slow
def test_resume_last_without_a_folder_says_which_flag(tmp_path):
    run = run_cli("data=synthetic", "resume=last", f"paths.cache_dir={tmp_path / 'cache'}")
    assert run.returncode == 2
    assert run.stderr.startswith("error: resume=last: continues the run in hydra.run.dir")
    assert not list(tmp_path.iterdir())
