"""The unattended comparison: what is done is skipped, failures are left, and it stops and goes on."""

import json
import signal
import sys
import time

import pytest
from runs import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import comparison
import comparison_plan as plan


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """Two networks of two grid points, whose runs only write their results; `ran` lists their commands."""
    columns = [column for column in plan.COLUMNS if column.name in ("sasrec", "gru4rec")]
    monkeypatch.setattr(plan, "COLUMNS", columns)
    monkeypatch.setattr(plan.Column, "grid_points", lambda self: [(0.001, 0.5), (0.01, 0.5)])

    def make(hours=1.0, fails=(), **options):
        one = comparison.Driver(tmp_path / "work", tmp_path / "records", hours, **options)
        one.ran = []

        def command(script, run, words):
            if time.monotonic() > one.deadline:
                raise comparison.StoppedError
            one.ran.append((script, run.relative_to(tmp_path / "work"), words))
            if any(part in str(run) for part in fails):
                raise comparison.subprocess.CalledProcessError(1, script)
            rate = float(run.parent.name.split("-")[0][2:]) if run.name != "baselines" else 0.0
            metrics = {"val/ndcg@10": 0.1 + rate} if script == "train.py" else {}
            metrics |= {} if "search" in run.name else {"test/ndcg@10": 0.2}
            run.mkdir(parents=True, exist_ok=True)
            timing = {"fit_s": 1.0, "epoch_s": [0.5]}
            overrides = [word for word in words if word == "test=false"]
            results = {"metrics": metrics, "timing": timing, "checkpoint": "x.ckpt", "overrides": overrides}
            results |= {name: {} for name in comparison.OF_THE_TEST}
            (run / "results.json").write_text(json.dumps(results))
            if script == "train.py":
                (run / "checkpoints").mkdir(exist_ok=True)
                (run / "checkpoints" / "best.ckpt").touch()

        one._command = command
        return one

    return make


def test_a_search_then_seeds_with_what_it_found(driver, tmp_path):
    one = driver()
    one.work_off()
    folders = [str(folder) for _, folder, _ in one.ran]
    assert len(folders) == len(set(folders))
    first, better = (f"scientific_mm_subset/sasrec/lr{rate}-dropout0.5" for rate in ("0.001", "0.01"))
    assert folders[0] == "scientific_mm_subset/baselines"
    assert folders[1:3] == [f"{first}/seeds-0", "scientific_mm_subset/gru4rec/lr0.001-dropout0.5/seeds-0"]
    assert f"{first}/search-0" not in folders
    commands = {str(folder): (script, words) for script, folder, words in one.ran}
    assert "test=false" in commands[f"{better}/search-0"][1]
    assert commands[f"{better}/seeds-0"][0] == "eval.py"  # the weights are there
    tested = [folder for folder in folders if "sasrec/lr0.01-dropout0.5/seeds" in folder]
    assert len(tested) == 8 + 6 * 3  # the better rate: 8 seeds of a headline, three on each further data set

    def record(name):
        return json.loads((tmp_path / "records" / name / "results.json").read_text())

    assert "comparison" not in record("office/baselines")
    both = {"val/ndcg@10": 0.11, "test/ndcg@10": 0.2}
    assert (record(f"{better}/seeds-0")["metrics"], record(f"{better}/seeds-0")["overrides"]) == (both, [])
    searched = record(f"{first}/search-0")
    assert searched["metrics"] == {"val/ndcg@10": 0.101}
    assert searched["overrides"] == ["test=false"]
    assert not searched.keys() & set(comparison.OF_THE_TEST)
    assert "checkpoint" not in searched


def test_what_has_a_record_is_not_made_again_and_failures_wait_for_retry(driver):
    one = driver(fails=["gru4rec"])
    one.work_off()
    assert [str(folder).split("/")[1] for folder in one.failed] == 3 * [
        "gru4rec"
    ]  # the published point, tested and searched, and another
    assert driver().next() is None  # neither records nor failures
    again = driver(retry=True)
    again.work_off()
    assert {folder.parts[1] for _, folder, _ in again.ran} == {"gru4rec"}
    assert not again.failed
    assert driver().next() is None


def test_no_run_begins_when_time_is_over(driver, capsys):
    one = driver(hours=0.0)
    one.work_off()
    assert one.ran == []
    assert "the same command goes on" in capsys.readouterr().out


def test_a_run_that_is_stopped_is_ended_and_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("import time; print('on', flush=True); time.sleep(60)")
    monkeypatch.setattr(comparison, "ROOT", tmp_path)
    one = comparison.Driver(tmp_path / "work", tmp_path / "records", 1.0)
    before = signal.signal(signal.SIGALRM, one.stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        one.work_off()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert one.child.poll() is not None
    assert not one.failed
    assert one.next() is not None


def test_every_network_begins_with_a_point_of_its_grid():
    assert len({column.name for column in plan.COLUMNS}) == len(plan.COLUMNS)
    for column in plan.COLUMNS:
        points = column.grid_points()
        assert points[0] == column.published
        assert len(set(points)) == 8
