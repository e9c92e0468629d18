"""Runs that several tests look at, and silence about what says nothing."""

from pathlib import Path

import pytest
from runs import tiny

from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.train import train

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """The entry points silence the same advice; every other warning stays an error."""
    for item in items:
        if HERE in item.path.parents:
            for message in NOISE:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """The folder of the shared runs and of the generated data."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def finetuned(shared):
    """Folder and results of a run from scratch."""
    return shared / "finetuned", train(tiny(shared, name="finetuned"))


@pytest.fixture(scope="session")
def pretrained(shared):
    """Folder and results of a pre-training run over three domains, text only.

    The fourth domain has images too: a modality that pre-training never saw.
    """
    cfg = tiny(shared, "phase=pretrain", "data.modalities=[text]", name="pretrained")
    return shared / "pretrained", train(cfg)
