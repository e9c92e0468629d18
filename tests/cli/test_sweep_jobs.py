"""Which jobs of a sweep are commands of their own, and what these say."""

import json
import subprocess
from types import SimpleNamespace

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from missrec_pl.experiment import jobs as sweep_jobs
from missrec_pl.experiment.jobs import needs_own_command, run_as_own_command


@pytest.fixture
def sweep(monkeypatch):
    """A job of ``python train.py -m hparams_search=optuna seed=0 hydra.sweep.dir=S``, as Hydra describes it."""
    overrides = SimpleNamespace(
        task=["hparams_search=optuna", "seed=0"], hydra=["hydra.sweep.dir=S", "hydra.verbose=true"]
    )
    config = SimpleNamespace(mode=RunMode.MULTIRUN, launcher="BasicLauncher", overrides=overrides)
    hydra = SimpleNamespace(initialized=lambda: True, get=lambda: config)
    monkeypatch.setattr(sweep_jobs, "HydraConfig", hydra)
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    return config


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        ({"accelerator": "cpu", "devices": 1, "strategy": "auto"}, False),
        ({"accelerator": "cpu", "devices": "auto"}, False),
        ({"accelerator": "cpu", "devices": 2}, True),
        ({"accelerator": "gpu", "devices": [0, 3]}, True),
        ({"accelerator": "gpu", "devices": "0,3"}, True),
        ({"accelerator": "gpu", "devices": 1, "num_nodes": 2}, True),
        (
            {
                "accelerator": "gpu",
                "devices": 4,
                "strategy": {"_target_": "lightning.pytorch.strategies.DDPStrategy"},
            },
            True,
        ),
        ({"accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn"}, False),
    ],
)
def test_several_processes_need_a_command(trainer, expected, sweep):
    assert needs_own_command(OmegaConf.create({"trainer": trainer})) is expected
    sweep.mode = RunMode.RUN
    assert not needs_own_command(OmegaConf.create({"trainer": trainer}))


def test_the_command_is_no_sweep_itself(sweep, monkeypatch, tmp_path):
    said = []
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: (said.extend(command), SimpleNamespace(returncode=0))[1]
    )
    (tmp_path / "results.json").write_text(json.dumps({"seed": 0}), encoding="utf-8")
    assert run_as_own_command(str(tmp_path)) == {"seed": 0}
    assert said[-5:] == [  # behind the program, which is a file or a module
        *("hparams_search=optuna", "seed=0", "hydra.verbose=true", "hydra.mode=RUN"),
        f'hydra.run.dir="{tmp_path}"',
    ]
