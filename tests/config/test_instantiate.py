"""Every group of a config builds its objects in a process that has imported nothing of the project before."""

import os

import pytest
from forked import run_forked
from runs import CONFIGS

PROGRAM = """
import sys
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
folder, what, *overrides = sys.argv[1:]
with initialize_config_dir(folder, version_base="1.3"):
    cfg = compose("train", overrides=overrides)
assert not [name for name in sys.modules if name.partition(".")[0] == "missrec_pl"]
if what == "model":
    from missrec_pl.nn.contract import DataShape
    shape = DataShape(4, {"text": 3}, {"text": 4}, max_history=cfg.data.max_history, num_folds=2)
    built = [instantiate(cfg.model, data=shape)]
elif what in ("callbacks", "logger"):
    built = [instantiate(node) for node in cfg[what].values() if node["_target_"] is not None]
    assert len(built) >= 2
else:
    built = [instantiate(cfg[what])]
print(*(type(one).__name__ for one in built))
"""


def built(tmp_path, what, *overrides):
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    places = [f"paths.output_dir={tmp_path}", f"paths.cache_dir={tmp_path}", "trainer=cpu"]
    done = run_forked("-c", PROGRAM, CONFIGS, what, *places, *overrides, env=settings, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("what", "overrides", "expected"),
    [
        ("data", ["data=synthetic"], ["DomainDataModule"]),
        ("data", ["data=movies", "phase=pretrain"], ["DomainDataModule"]),
        ("trainer", [], ["Trainer"]),
        ("model", ["model=missrec_tuned"], ["MISSRecReleased"]),
        ("model", ["model=missrec", "interest=kmeans"], ["MISSRec"]),
        ("model", ["model=sasrec"], ["SASRec"]),
        (
            "callbacks",
            ["callbacks=annealed", "+callbacks.timer={_target_:lightning.pytorch.callbacks.Timer}"],
            [
                *("InterestRefresh", "TrainOnly", "Timer", "BestCheckpoint", "LastCheckpoint"),
                *("EpochLines", "RichProgressBar", "WeightAverage"),
            ],
        ),
        ("logger", ["logger=many", "+logger.wandb.offline=true"], None),
    ],
)
def test_a_group_builds_by_itself(what, overrides, expected, tmp_path):
    found = built(tmp_path, what, *overrides)
    if expected is None:
        assert all(name.endswith("Logger") or name.endswith(("Csv", "Wandb", "TensorBoard")) for name in found), (
            found
        )
    else:
        assert sorted(found) == sorted(expected)
