"""OpenMP's threads sleep while they wait, in every program, unless the user says otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Says what OpenMP would read at the moment when something asks for torch.
WATCH = """
import os, runpy, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("waits", os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
PROGRAMS = {
    "train.py": ["train.py", "data=synthetic"],
    "eval.py": ["eval.py", "ckpt=nowhere.ckpt"],
    "prepare": ["missrec_pl.prepare", "import-checkpoint", "nowhere.pth", "out.ckpt"],
    "report": ["missrec_pl.report", "interests", str(Path(__file__))],
    "doctor": ["missrec_pl.doctor"],
}


def waiting(words, folder, **environment):
    program, *arguments = words
    if program.endswith(".py"):
        program = str(ROOT / program)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", WATCH, program, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, **environment},
        timeout=120,
    )
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_threads_wait_passively(program, tmp_path):
    said, wrong = waiting(PROGRAMS[program], tmp_path)
    assert said == "waits PASSIVE", wrong


def test_the_user_decides(tmp_path):
    assert waiting(PROGRAMS["train.py"], tmp_path, OMP_WAIT_POLICY="ACTIVE")[0] == "waits ACTIVE"
    assert waiting(PROGRAMS["train.py"], tmp_path, GOMP_SPINCOUNT="1000")[0] == "waits None"
