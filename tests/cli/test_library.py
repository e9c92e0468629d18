"""Experiments from Python: composed, run twice, beside another Hydra program; serving without Lightning."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from runs import CONFIGS, ROOT, SMALL

from missrec_pl import Run, compose, fit
from missrec_pl.errors import ConfigError
from missrec_pl.experiment import library


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_config_is_composed_as_on_the_command_line(here):
    cfg = compose("data=synthetic", "model=sasrec", "trainer.max_epochs=3", "seed=4")
    assert (cfg.seed, cfg.trainer.max_epochs, cfg.hydra.runtime.choices.model) == (4, 3, "sasrec")
    assert Path(cfg.paths.output_dir).parent == here / "outputs" / "finetune"
    assert compose("hydra.run.dir=mine").paths.output_dir == str(here / "mine")


def test_two_configs_of_one_second_have_two_folders(here):
    assert compose().paths.output_dir != compose().paths.output_dir


def test_files_of_ones_own_stand_beside_the_projects(here):
    (here / "mine" / "experiment").mkdir(parents=True)
    (here / "mine" / "experiment" / "own.yaml").write_text("# @package _global_\nseed: 7\n")
    assert compose("experiment=own", config_dir=here / "mine").seed == 7


def test_somebody_elses_hydra_stays_as_it_is(here):
    with initialize_config_dir(str(CONFIGS / "optim"), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        compose("data=synthetic")
        assert GlobalHydra.instance().hydra is before
    assert not HydraConfig.initialized()


def test_a_run_knows_its_own_command_and_leaves_no_trace(here, monkeypatch):
    told = []

    def train(cfg):
        told.append((list(HydraConfig.get().overrides.task), "hydra" in cfg))
        return {"metrics": {}, "baselines": {}, "checkpoint": None}

    monkeypatch.setattr("missrec_pl.experiment.train.train", train)
    cfg = compose("data=synthetic", "seed=3")
    runs = [fit(cfg), fit("data=synthetic")]
    assert told == [(["data=synthetic", "seed=3"], False), (["data=synthetic"], False)]
    assert runs[0].folder != runs[1].folder
    assert not HydraConfig.initialized()
    with pytest.raises(ConfigError, match="or overrides alone"):
        fit(cfg, "seed=1")


def test_results_are_tables_with_pandas_and_without(tmp_path, monkeypatch):
    results = {
        "model": "SASRec",
        "metrics": {"val/ndcg@10": 0.5, "test/ndcg@10": 0.25},
        "baselines": {"popularity": {"test/ndcg@10": 0.125}},
        "checkpoint": "checkpoints/best.ckpt",
    }
    run = Run(tmp_path, results)
    expected = [{"name": "SASRec", "ndcg@10": 0.25}, {"name": "popularity", "ndcg@10": 0.125}]
    assert run.scores().to_dict("records") == expected
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: None)
    assert run.scores() == expected
    assert run.checkpoint == tmp_path / "checkpoints" / "best.ckpt"
    with pytest.raises(ConfigError, match="no such table"):
        run.table("groups")


def test_serving_loads_neither_lightning_nor_hydra():
    code = "import missrec_pl, missrec_pl.serving, sys; print({'lightning', 'hydra', 'wandb'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's
def test_the_notebook_runs_from_top_to_bottom(tmp_path, monkeypatch):
    client, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("MISSREC_CACHE_DIR", str(tmp_path / "cache"))
    book = nbformat.read(ROOT / "examples" / "experiments.ipynb", as_version=4)
    client.NotebookClient(book, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    last = float(book.cells[-1].outputs[0]["data"]["text/plain"])
    assert 0 < last < 1
    assert len(list((tmp_path / "outputs" / "finetune").iterdir())) == 2


@pytest.mark.slow
def test_a_wheel_works_outside_of_a_checkout(tmp_path):
    """Installed into an empty folder, dependencies beside it: commands find their YAML files, and yours."""
    source = tmp_path / "source"
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if name.startswith(("src/", "configs/")) or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    home = tmp_path / "home"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(home), str(source)], check=True, capture_output=True, text=True)
    assert (home / "missrec_pl" / "configs" / "experiment" / "table3" / "tv.yaml").is_file()
    own = tmp_path / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\nseed: 5\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(home)}
    words = ["--config-dir", str(tmp_path / "own"), "experiment=mine", "data=synthetic", *SMALL, "trainer=cpu"]
    words += ["trainer.max_epochs=1", "hydra.run.dir=run", "baselines.names=[popularity]"]
    for command in (
        [sys.executable, "-m", "missrec_pl.train", *words],
        [
            sys.executable,
            str(home / "bin" / "missrec-eval"),
            "ckpt=run/checkpoints/best.ckpt",
            "hydra.run.dir=test",
        ],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    assert '"seed": 5' in (tmp_path / "run" / "results.json").read_text()
    assert (tmp_path / "test" / "results.json").is_file()
