"""What `make run` does, with steps that take no time."""

import io
import json

import pytest
from rich.console import Console

from missrec_pl.experiment import quickstart
from missrec_pl.experiment.quickstart import Step, best_of, run, steps

PROGRAM = """
import json, pathlib, sys, time
words = dict(word.split("=", 1) for word in sys.argv[1:])
folder = pathlib.Path(words["hydra.run.dir"])
folder.mkdir(parents=True)
with (folder.parent / "order").open("a") as order:
    order.write(folder.name + chr(10))
print("a line of the log")
sys.exit(int(words["code"]))
"""


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Steps whose program writes down that it ran, in a folder that holds nothing else."""
    (tmp_path / "train.py").write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)

    def go(*planned, jobs=1):
        monkeypatch.setattr(quickstart, "steps", lambda out: list(planned))
        told = Console(file=io.StringIO(), width=200)
        code = run(tmp_path / "out", jobs, told)
        order = tmp_path / "out" / "order"
        return code, order.read_text().split() if order.exists() else [], told.file.getvalue()

    return go


def step(name, after=None, code=0):
    return Step(name, f"about {name}", 1, (f"code={code}",), after)


def test_a_step_waits_for_the_one_that_it_goes_on_from(quick):
    code, order, told = quick(step("late", after="first"), step("other"), step("first"))
    assert (code, order) == (0, ["other", "first", "late"])
    assert "[3/3] about late: " in told


def test_a_step_that_fails_ends_the_others_and_shows_its_log(quick):
    code, order, told = quick(step("bad", code=3), step("never"))
    assert (code, order) == (3, ["bad"])
    assert "a line of the log" in told
    assert "error: about bad: exit code 3, see " in told


def test_steps_have_folders_of_their_own_and_name_only_each_other(tmp_path):
    planned = steps(tmp_path)
    names = [one.name for one in planned]
    assert len(set(names)) == len(names)
    assert {one.after for one in planned} <= {None, *names}
    assert all((one.after is None) == (not any("ckpt=" in word for word in one.words)) for one in planned)


def test_the_best_on_validation_is_shown(tmp_path):
    for name, score in (("scratch/inductive", 0.1), ("scratch/transductive", 0.2), ("pretrained/inductive", 0.15)):
        (tmp_path / name).mkdir(parents=True)
        results = {"metrics": {"val/ndcg@10": score, "test/ndcg@10": 1 - score}}
        (tmp_path / name / "results.json").write_text(json.dumps(results))
    assert best_of(tmp_path) == tmp_path / "scratch" / "transductive"
