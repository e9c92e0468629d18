"""Short runs and their bundles."""

import pytest
import torch
from runs import composed, places

from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.exporting import export_checkpoint
from missrec_pl.experiment.train import train

SMALL = ("model.hidden_size=16", "model.inner_size=16", "data.batch_size=32", "baselines.names=[]", "test=false")
SHORT = ("trainer=cpu", "trainer.max_epochs=1", "+trainer.limit_train_batches=2", "callbacks.progress=null")
RUNS = {
    "released": ("model=missrec_released", "setting=transductive", "model.num_heads=2"),
    "tuned": ("model=missrec_tuned", "model.num_heads=2", "model.collaborative=4", "features.whitening=0.5"),
    "paper": ("model=missrec",),
    "sasrec": ("model=sasrec",),
}


def pytest_collection_modifyitems(items):
    """What training says of no news."""
    for item in items:
        if "serving" in item.path.parts:
            for message in NOISE:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="session")
def checkpoint(shared):
    """Gives the checkpoint of a run by its name, trained when it is first asked for."""

    def of(name):
        file = shared / name / "checkpoints" / "last.ckpt"
        if not file.is_file():
            torch.manual_seed(0)
            train(composed("data=synthetic", *RUNS[name], *SMALL, *SHORT, *places(shared, name)))
        return file

    return of


@pytest.fixture(scope="session")
def bundle(shared, checkpoint):
    """Gives the folder of a run's bundle."""

    def of(name):
        folder = shared / "bundles" / name
        return folder if folder.is_dir() else export_checkpoint(checkpoint(name), folder)

    return of
