"""The data of the label-noise tests, and silence about what says nothing."""

from pathlib import Path

import pytest
from noisy_data import write_truths

from missrec_pl.experiment.cli import NOISE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """The entry points silence the same advice; every other warning stays an error."""
    for item in items:
        if HERE in item.path.parents:
            for message in NOISE:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))


@pytest.fixture(scope="session")
def truths(tmp_path_factory):
    """Data folders with the clean domain, with other test targets, with other validation targets."""
    return write_truths(tmp_path_factory.mktemp("truths"))
