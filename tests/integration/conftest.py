"""Runs that several tests look at."""

import pytest
from runs import tiny

from missrec_pl.experiment.train import train


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
