import pytest

from missrec_pl.datamodules import DomainDataModule


@pytest.fixture
def make_datamodule(synthetic_source):
    def make(num_domains=1, **options):
        return DomainDataModule([synthetic_source(num_domains=num_domains)], **{"batch_size": 32, **options})

    return make
