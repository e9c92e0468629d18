"""The data of the label-noise tests."""

import pytest
from noisy_data import write_truths


@pytest.fixture(scope="session")
def truths(tmp_path_factory):
    """Data folders with the clean domain, with other test targets, with other validation targets."""
    return write_truths(tmp_path_factory.mktemp("truths"))
