"""Limits of the machine, set for real: each phase ends well, or in one line with exit code 3."""

import json
import os

import pytest
from forked import run_forked
from runs import QUIET, SMALL, places

pytestmark = pytest.mark.slow

LIMITED = """
import resource, runpy, sys
kind, amount = sys.argv[1], int(sys.argv[2])
resource.setrlimit(getattr(resource, kind), (amount, amount))
sys.argv[:] = sys.argv[3:]
sys.path.insert(0, "")
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
SAID = {"RLIMIT_FSIZE": "the disk is full: ", "RLIMIT_NOFILE": "too many files are open: "}
FEW = ("data=synthetic", "+data.source.num_users=60", *SMALL, "baselines.names=[popularity]")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a cache of converted data, and a run whose checkpoint there is."""
    folder = tmp_path_factory.mktemp("limits")
    run = run_forked("train.py", *FEW, *QUIET, *places(folder, "trained"), f"hydra.run.dir={folder / 'trained'}")
    assert run.returncode == 0, run.stderr
    return folder


def words_of(phase, trained, folder):
    """The command of a phase; all but the first two find their data converted."""
    out, best = f"hydra.run.dir={folder / 'run'}", trained / "trained" / "checkpoints" / "best.ckpt"
    cache = f"paths.cache_dir={trained / 'cache'}"
    run = ("train.py", *FEW, *QUIET, out)
    return {
        "prepare": ("missrec_pl.prepare", "synthetic", folder / "run", "--users", "60", "--items", "40"),
        "conversion": (*run, f"paths.cache_dir={folder / 'cache'}"),
        "pretrain": (*run, cache, "phase=pretrain"),
        "finetune": (*run, cache, f"ckpt={best}"),
        "baselines": ("train.py", *FEW, out, cache, "phase=baselines"),
        "evaluation": ("eval.py", f"ckpt={best}", "trainer=cpu", out, cache),
    }[phase]


@pytest.mark.parametrize(
    ("kind", "amount"),
    [
        *(("RLIMIT_FSIZE", size) for size in (2_000, 20_000, 200_000)),
        *(("RLIMIT_NOFILE", count) for count in (16, 64)),
    ],
)
@pytest.mark.parametrize("phase", ["prepare", "conversion", "pretrain", "finetune", "baselines", "evaluation"])
def test_a_limit_is_told_in_one_line(phase, kind, amount, trained, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = run_forked("-c", LIMITED, kind, amount, *words_of(phase, trained, tmp_path), env=environment)
    print(phase, kind, amount, run.returncode, run.stderr)
    assert run.returncode in (0, 3), run.stderr
    for file in tmp_path.rglob("*.json"):
        json.loads(file.read_text())
    if run.returncode:
        (line,) = run.stderr.splitlines()
        assert line.startswith("error: ")
        assert SAID[kind] in line
