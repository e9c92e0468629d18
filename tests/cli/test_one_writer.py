"""Two runs do not write to one folder, and processes that nobody asked for are no runs."""

import subprocess
import sys

import pytest
from hydra.core.global_hydra import GlobalHydra
from runs import SMALL, composed, run_cli

from missrec_pl.config.launched import launch_mistakes
from missrec_pl.config.run_folder import refuse_taken_folder
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.cli import user_mistakes
from missrec_pl.experiment.train import train
from missrec_pl.system.launched import RANKS
from missrec_pl.system.one_writer import one_writer

HOLDER = """
import pathlib, sys, time
from missrec_pl.system.one_writer import one_writer
with one_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    names = ("WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
    for name in (*names, "MV2_COMM_WORLD_SIZE", *RANKS):
        monkeypatch.delenv(name, raising=False)


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path, monkeypatch):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        for resume in (None, "last"):
            with pytest.raises(ConfigError, match="another run writes there now"):
                refuse_taken_folder(tmp_path, [], resume)
        with pytest.raises(ConfigError, match="another run writes there now"), one_writer(tmp_path):
            pass
        monkeypatch.setenv("LOCAL_RANK", "1")  # a further process of the same run
        refuse_taken_folder(tmp_path, [], None)
        with one_writer(tmp_path):
            pass
        monkeypatch.delenv("LOCAL_RANK")
    finally:
        holder.kill()
        holder.communicate()
    refuse_taken_folder(tmp_path, [], None)
    for _ in range(2):
        with one_writer(tmp_path):
            pass


@pytest.mark.parametrize(
    ("environment", "by"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}, "torchrun"),
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}, "torchrun"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "srun"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "mpirun"),
        ({"PMI_SIZE": "2"}, "mpirun"),
        ({"MV2_COMM_WORLD_SIZE": "2"}, "mpirun"),
    ],
)
def test_a_launcher_without_a_strategy_is_refused(environment, by, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (line,) = launch_mistakes(composed("trainer=cpu"))
    assert line.startswith(f"{by} has started 2 processes and the trainer uses 1: say trainer=ddp")
    assert not launch_mistakes(composed("trainer=ddp_sim"))
    assert not launch_mistakes(composed("trainer=ddp"))


@pytest.mark.parametrize(
    "environment", [{"WORLD_SIZE": "2"}, {"SLURM_NTASKS": "4"}, {"SLURM_STEP_NUM_TASKS": "1"}]
)
def test_what_is_no_launcher(environment, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert not launch_mistakes(composed("trainer=cpu"))


@pytest.mark.parametrize("variable", ["RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"])
def test_the_first_process_says_it(variable, monkeypatch, capsys):
    for rank, said in (("0", "error: no\n"), ("1", "")):
        monkeypatch.setenv(variable, rank)
        with pytest.raises(SystemExit) as ended, user_mistakes():
            raise ConfigError("no")
        assert ended.value.code == 2
        assert capsys.readouterr().err == said


def test_a_notebook_is_told_which_folder_to_give():
    GlobalHydra.instance().clear()
    with pytest.raises(ConfigError, match=r"^paths.output_dir: only a command .* paths.output_dir=<folder>"):
        train(composed("data=synthetic", *SMALL))


@pytest.mark.slow
@pytest.mark.parametrize("script", ["train.py", "eval.py"])
def test_a_terminal_without_letters(script, tmp_path):
    word = "data=\u00e9\u4e2d" if script == "train.py" else "ckpt=\u00e9\u4e2d.ckpt"
    run = run_cli(word, f"hydra.run.dir={tmp_path}", script=script, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert run.returncode == 2
    assert run.stderr.isascii()
    assert len(run.stderr.splitlines()) == 1
    assert "Traceback" not in run.stderr
