"""Short runs and their bundles."""

import pytest
import torch
from runs import composed, places
from served_runs import PRETRAINED, RUNS, SHORT, SMALL

from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.exporting import export_checkpoint
from missrec_pl.experiment.train import train


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
            train(composed("data=synthetic", *{**RUNS, **PRETRAINED}[name], *SMALL, *SHORT, *places(shared, name)))
        return file

    return of


@pytest.fixture(scope="session")
def bundle(shared, checkpoint):
    """Gives the folder of a run's bundle."""

    def of(name):
        folder = shared / "bundles" / name
        return folder if folder.is_dir() else export_checkpoint(checkpoint(name), folder)

    return of
