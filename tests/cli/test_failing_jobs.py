"""A job of a sweep that fails: recorded, said, and not the end of the others."""

import json
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from runs import SMALL, run_cli

from missrec_pl.errors import ConfigError, RunError, StoppedError
from missrec_pl.experiment import sweep
from missrec_pl.experiment.sweep import JobFailedError, all_failed, job, settle, summary


@pytest.fixture
def number(monkeypatch, tmp_path):
    """Say which job of a sweep runs now."""
    monkeypatch.setattr(sweep, "_ended", [])

    def choose(num, mode=RunMode.MULTIRUN):
        (tmp_path / str(num)).mkdir(exist_ok=True)
        hydra = SimpleNamespace(
            mode=mode,
            runtime=SimpleNamespace(output_dir=str(tmp_path / str(num))),
            job=SimpleNamespace(num=num),
        )
        monkeypatch.setattr(HydraConfig, "get", lambda: hydra)
        return tmp_path / str(num)

    return choose


def fail(error):
    with job():
        raise error


def test_the_others_go_on_and_the_end_says_which_failed(number, capsys):
    assert summary() == ("", 0)
    folders = [number(num) for num in range(3)]
    number(0)
    with job():
        pass
    number(1)
    with pytest.raises(JobFailedError):
        fail(RunError("the disk is full.\nMake room."))
    number(2)
    with pytest.raises(JobFailedError):
        fail(KeyError("bug"))
    said = capsys.readouterr().err
    assert said.startswith("error: the disk is full.\nerror: Make room.\nerror: the job in ")
    assert "Traceback" in said
    assert json.loads((folders[1] / "failed.json").read_text()) == {
        "lines": ["the disk is full.", "Make room."],
        "exit_code": 3,
    }
    assert json.loads((folders[2] / "failed.json").read_text())["lines"] == ["KeyError: 'bug'"]
    line, code = summary()
    assert line == f"2 of 3 jobs failed: 1 ({folders[1]}), 2 ({folders[2]}): see failed.json in each."
    assert code == 3
    assert not all_failed()


@pytest.mark.parametrize("mode", [RunMode.MULTIRUN, RunMode.RUN])
def test_a_run_that_goes_well_is_failed_no_more(mode, number):
    folder = number(0, mode)
    (folder / "failed.json").touch()
    with job():
        pass
    assert not list(folder.iterdir())


def test_a_signal_ends_the_sweep(number):
    folder = number(0)
    with pytest.raises(SystemExit) as ended:
        fail(StoppedError("stopped by SIGTERM"))
    assert ended.value.code == 75
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert not list(folder.iterdir())


def test_a_single_run_ends_as_before(number):
    folder = number(0, RunMode.RUN)
    with pytest.raises(SystemExit) as ended:
        fail(ConfigError("seed=abc: no"))
    assert ended.value.code == 2
    with pytest.raises(KeyError):
        fail(KeyError("bug"))
    assert not list(folder.iterdir())


@pytest.mark.parametrize(("sweeper", "kept"), [("BasicSweeper", False), ("OptunaSweeper", True)])
def test_optuna_counts_failed_trials_itself(sweeper, kept):
    config = SimpleNamespace(hydra=SimpleNamespace(sweeper=sweeper, launcher="BasicLauncher"))
    ended = JobReturn(status=JobStatus.FAILED, _return_value=JobFailedError("f", ["a"], 2))
    settle(config, ended)
    assert (ended.status == JobStatus.FAILED) is kept


@pytest.mark.slow
def test_a_sweep_as_typed(tmp_path):
    def sweep_over(*words):
        return run_cli(
            *("data=synthetic", *SMALL, "model.num_heads=2,3,4", "-m", "trainer.max_epochs=1"),
            *("callbacks.progress=null", "baselines.names=[]"),
            *(f"paths.cache_dir={tmp_path / 'cache'}", f"hydra.sweep.dir={tmp_path / 's'}", *words),
        )

    run = sweep_over()
    assert run.returncode == 2
    assert [(tmp_path / "s" / f"{num}/results.json").is_file() for num in range(3)] == [True, False, True]
    assert (tmp_path / "s" / "1" / "failed.json").is_file()
    assert run.stderr.splitlines()[-1].startswith("error: 1 of 3 jobs failed: 1 (")
    assert "Traceback" not in run.stderr
