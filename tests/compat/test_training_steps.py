"""What ``compat`` changes around the network: batches stay whole, tokens all count, shards equal one process."""

import pytest
import torch
from hydra.utils import instantiate
from runs import composed

from missrec_pl.clustering.kmeans_released import kmeans_released
from missrec_pl.clustering.methods import KMeansReleased
from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError
from missrec_pl.experiment import building
from missrec_pl.nn import ItemEmbeddings
from missrec_pl.nn.encoding import encode_in_buckets, history_rows

SMALL = ("model.hidden_size=8", "model.num_heads=2", "model.inner_size=6", "data.max_history=9")


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()])
    datamodule.setup()
    return datamodule


@pytest.fixture
def module(datamodule):
    cfg = composed("model.compat=true", *SMALL)
    catalogue = datamodule.catalogue
    sizes = {"feature_dims": catalogue.feature_dims, "num_items": catalogue.num_items, "num_prototypes": 4}
    module = building.build_module(cfg, instantiate(cfg.model, **sizes))
    return module.eval()


def test_a_batch_is_never_cut_into_buckets(module):
    calls, encode = [], module.model.encode_users
    module.model.encode_users = lambda *arguments: calls.append(arguments) or encode(*arguments)
    random = torch.Generator().manual_seed(0)
    length = torch.randint(1, 8, (40,), generator=random)
    history = torch.randint(1, 31, (40, 7), generator=random) * (torch.arange(7) < length[:, None])
    tokens, nothing = torch.randn(31, 2, 8), torch.zeros(31, 2, dtype=torch.bool)
    items = ItemEmbeddings(tokens, nothing, torch.ones(31, 2, dtype=torch.long), torch.arange(31))
    encode_in_buckets(module.model, history, length, items, 8)
    assert len(calls) == 1


def test_a_torn_batch_is_a_table_of_its_own(module):
    history = torch.tensor([[2, 1, 0], [3, 0, 0]])
    original = torch.tensor([[2, 3, 1], [3, 0, 0]])
    tokens = torch.arange(8.0).view(4, 2, 1)
    nothing = torch.zeros(4, 2, dtype=torch.bool)
    items = ItemEmbeddings(tokens, nothing, torch.arange(8).view(4, 2), torch.tensor([0, 10, 20, 30]))
    rest = {"length": torch.tensor([2, 1]), "target": torch.tensor([1, 1]), "domain": torch.tensor([0, 0])}
    batch = TornBatch(history=history, modality_history=torch.stack([history, original]), **rest)
    rows, found = history_rows(batch, items)
    assert found.ids[rows].tolist() == [[20, 10, 0], [30, 0, 0]]
    assert found.tokens[rows, 0, 0].tolist() == tokens[history, 0, 0].tolist()
    assert found.tokens[rows, 1, 0].tolist() == tokens[original, 1, 0].tolist()
    assert found.interest[rows, 1].tolist() == items.interest[original, 1].tolist()
    plain = SequenceBatch(history=history, **rest)
    assert history_rows(plain, items) == (history, items)


def test_interest_discovery_is_given_every_token(module, datamodule):
    module.trainer = type("Trainer", (), {"datamodule": datamodule})()
    chunks = list(module.embedded_chunks())
    assert datamodule.catalogue.is_missing[1:].any()
    assert not any(chunk.is_missing[1:].any() for chunk in chunks)
    assert torch.equal(module.embed_catalogue().is_missing, datamodule.catalogue.is_missing)


def test_tokens_are_clustered_modality_by_modality():
    tokens = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))  # 20 items of 3 modalities
    found = KMeansReleased(batch_size=25, num_modalities=3)(tokens, 6, seed=4)
    order = torch.arange(60).view(20, 3).T.flatten()
    expected = kmeans_released(tokens[order], 6, batch_size=25, seed=4)
    assert torch.equal(found.prototypes, expected.prototypes)
    assert torch.equal(found.assignment[order], expected.assignment)
    as_they_come = KMeansReleased(batch_size=25)(tokens, 6, seed=4)
    assert torch.equal(as_they_come.assignment, kmeans_released(tokens, 6, batch_size=25, seed=4).assignment)


def test_tokens_that_are_no_whole_items_are_refused():
    with pytest.raises(ConfigError, match=r"interest.method.num_modalities=3: 20 tokens are no multiple of it"):
        KMeansReleased(num_modalities=3)(torch.randn(20, 2), 2, seed=0)
