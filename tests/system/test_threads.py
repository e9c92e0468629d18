"""A process uses the cores that it is allowed, shared with the other processes of its run."""

import os
import subprocess
import sys

import pytest

from missrec_pl.system import threads

CORES = len(os.sched_getaffinity(0))
SAY = "import missrec_pl.system.passive_waiting, os; print(os.environ['OMP_NUM_THREADS'])"


def said(program, *, cores=None, **environment):
    kept = {
        name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "MISSREC_THREADS")
    }
    limit = (lambda: os.sched_setaffinity(0, cores)) if cores else None
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env={**kept, **environment}, preexec_fn=limit)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_affinity_mask_counts():
    assert said(SAY) == str(threads.available_cores())
    assert said(SAY, cores={min(os.sched_getaffinity(0))}) == "1"


def test_processes_of_torchrun_share_the_cores():
    assert said(SAY, LOCAL_WORLD_SIZE=str(4 * CORES)) == "1"


def test_what_the_user_says_stays():
    program = f"{SAY}; from missrec_pl.system.threads import share_cores; print(share_cores(2)); {SAY}"
    assert said(program, OMP_NUM_THREADS="7").split() == ["7", "0", "7"]


def test_torch_gets_its_share():
    program = (
        "import missrec_pl.system.passive_waiting, torch; from missrec_pl.system.threads import share_cores;"
        "share_cores(64); print(torch.get_num_threads())"
    )
    assert said(program) == "1"


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "100000 100000"}, 1),
        ("0::/\n", {"cpu.max": "max 100000"}, CORES),
        ("0::/a/b\n", {"cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 1),
        ("0::/a/b\n", {"a/b/cpu.max": "9900000 100000"}, CORES),
        ("3:cpu,cpuacct:/a\n", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ("3:cpu,cpuacct:/a\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, CORES),
        ("", {}, CORES),
    ],
)
def test_the_quota_of_a_control_group_counts(own, files, expected, tmp_path):
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "own").write_text(own)
    assert threads.available_cores(tmp_path / "fs", tmp_path / "own") == expected
