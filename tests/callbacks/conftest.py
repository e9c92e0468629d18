"""Fixtures of the callbacks' tests."""

import pytest

from missrec_pl.datamodules import DomainDataModule


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()], candidates="all", batch_size=48)
    datamodule.setup()
    return datamodule
