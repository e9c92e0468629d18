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


# Compiles for a minute, in the phase in which nothing asks for signals.
SLOW_COMPILER = """
import runpy, sys, time
from pathlib import Path
from missrec_pl.system import compilation
mark = Path(sys.argv[1])
def slow():
    mark.touch()
    time.sleep(60)
compilation._inductor = slow
sys.argv[1:] = sys.argv[2:]
runpy.run_path("train.py", run_name="__main__")
"""


def started(*command):
    return subprocess.Popen(
        [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, preexec_fn=default_signals,
    )  # fmt: skip


def signalled(process, file, number):
    """Exit code, what was said, and the seconds it took after a signal that comes when the file is there."""
    deadline = time.monotonic() + 120
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    start = time.monotonic()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr, time.monotonic() - start


def test_a_signal_ends_a_compilation(tmp_path):
    process = started(
        "-c", SLOW_COMPILER, tmp_path / "compiling", "data=synthetic", *SMALL, "compile=true", "trainer=cpu",
        "baselines.names=[]", "callbacks.progress=null", "callbacks.last_checkpoint.stop_seconds=1",
        f"paths.cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'run'}",
    )  # fmt: skip
    code, said, seconds = signalled(process, tmp_path / "compiling", signal.SIGTERM)
    assert code == 75, said
    assert "error: stopped by SIGTERM: what was going on did not end within 1 s; nothing was saved yet." in said
    assert seconds < 30


def test_ctrl_c_ends_what_does_not_end_by_itself(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from missrec_pl.callbacks.last_checkpoint import StopSignal;"
        "wish = StopSignal(1, lambda: 'last words'); wish.install(); Path(sys.argv[1]).touch();\n"
        "while True: time.sleep(60)"
    )
    code, said, seconds = signalled(started("-c", program, tmp_path / "ready"), tmp_path / "ready", signal.SIGINT)
    assert code == 75, said
    assert "error: last words" in said
    assert seconds < 30


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
