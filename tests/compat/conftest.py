"""Runs go through the entry points' silence about what says nothing."""

from pathlib import Path

import pytest

from missrec_pl.experiment.cli import NOISE

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            for message in NOISE:
                item.add_marker(pytest.mark.filterwarnings(f"ignore:{message}"))
