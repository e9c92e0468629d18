"""What ``compat`` changes around the network: batches stay whole, tokens all count, shards equal one process."""

from dataclasses import replace

import pytest
import torch
from contexts import context_of
from memory_domain import MemoryDomain
from runs import composed

from missrec_pl.clustering.kmeans_released import kmeans_released
from missrec_pl.clustering.methods import KMeans, KMeansReleased
from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment import building
from missrec_pl.modules.histories import torn
from missrec_pl.nn.contract import Histories, Items, Users
from missrec_pl.nn.encoding import encode_users
from missrec_pl.nn.interests import InterestSettings, InterestTable
from missrec_pl.nn.missrec.items import ItemTokens

SMALL = ("model.hidden_size=8", "model.num_heads=2", "model.inner_size=6", "data.max_history=9")


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()])
    datamodule.setup()
    return datamodule


@pytest.fixture
def module(datamodule):
    cfg = composed("model=missrec_compat", "interest.num_prototypes=4", *SMALL)
    shape = datamodule.shape.changed(max_history=9)
    return building.build_module(cfg, datamodule, shape=shape).eval()


def test_a_batch_is_never_cut_into_buckets(module):
    calls, encode = [], module.model.encode_histories
    module.model.encode_histories = lambda *arguments: calls.append(arguments) or encode(*arguments)
    random = torch.Generator().manual_seed(0)
    length = torch.randint(1, 8, (40,), generator=random)
    history = torch.randint(1, 31, (40, 7), generator=random) * (torch.arange(7) < length[:, None])
    nothing, ones = torch.zeros(31, 2, dtype=torch.bool), torch.ones(31, 2, dtype=torch.long)
    extra = {"is_missing": nothing, "interest": ones, "no_interest": nothing}
    items = Items(torch.randn(31, 2, 8), torch.arange(31), extra)
    encode_users(module.model, Histories(history, length), items, num_buckets=8)
    assert len(calls) == 1
    module.model.depends_on_padding = False
    encode_users(module.model, Histories(history, length), items, num_buckets=8)
    assert len(calls) == 1 + 8


def test_a_torn_batch_is_a_table_of_its_own(module):
    history = torch.tensor([[2, 1, 0], [3, 0, 0]])
    original = torch.tensor([[2, 3, 1], [3, 0, 0]])
    tokens = torch.arange(8.0).view(4, 2, 1)
    extra = {
        "is_missing": torch.zeros(4, 2, dtype=torch.bool),
        "interest": torch.arange(8).view(4, 2),
        "no_interest": torch.zeros(4, 2, dtype=torch.bool),
    }
    items = ItemTokens(tokens, torch.tensor([0, 10, 20, 30]), extra)
    rest = {"length": torch.tensor([2, 1]), "target": torch.tensor([1, 1]), "domain": torch.tensor([0, 0])}
    batch = TornBatch(history=history, modality_history=torch.stack([history, original]), **rest)
    histories, found = torn(batch, module.histories(batch), items)
    rows = histories.rows
    assert histories.length is batch.length
    assert found.ids[rows].tolist() == [[20, 10, 0], [30, 0, 0]]
    assert found.tokens[rows, 0, 0].tolist() == tokens[history, 0, 0].tolist()
    assert found.tokens[rows, 1, 0].tolist() == tokens[original, 1, 0].tolist()
    assert found.interest[rows, 0].tolist() == items.interest[history, 0].tolist()
    assert found.interest[rows, 1].tolist() == items.interest[original, 1].tolist()
    asked = []
    users = Users(torch.zeros(2, 1))
    module.model.encode_histories = lambda *arguments: asked.append(arguments) or users
    module.encode(SequenceBatch(history=history, **rest), items)
    module.encode(batch, items)
    assert asked[0][0].rows is history
    assert asked[0][1] is items
    assert torch.equal(asked[1][0].rows, rows)


def test_interest_discovery_is_given_every_token(module, datamodule):
    module.trainer = type("Trainer", (), {"datamodule": datamodule})()
    chunks = list(module.encoded_chunks())
    assert datamodule.catalogue.is_missing[1:].any()
    assert not any(chunk.extra["no_interest"][1:].any() for chunk in chunks)
    assert all(chunk.extra["no_interest"][0].all() for chunk in chunks)
    assert torch.equal(module.encode_catalogue().is_missing, datamodule.catalogue.is_missing)


def tokens_of(tokens):
    """What a fitted part may look at: 20 items of 3 modalities, all of them there."""
    vectors = torch.cat([torch.zeros(1, 3, 5), tokens.view(20, 3, 5)])
    left_out = torch.zeros(21, 3, dtype=torch.bool)
    left_out[0] = True
    found = Items(vectors, torch.arange(21), {"no_interest": left_out})
    domain = MemoryDomain("any", features={"text": [[1.0, 2.0]]})
    return replace(context_of(domain, [[1]]), items=lambda: iter([found]), seed=4)


@pytest.mark.parametrize("all_tokens", [True, False])
def test_tokens_are_clustered_modality_by_modality(all_tokens):
    tokens = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))

    def table(method):
        made = InterestTable(InterestSettings(6, method), 60, 20, 3, 5, all_tokens=all_tokens)
        made.fit(tokens_of(tokens))
        return made

    found = table(KMeansReleased(batch_size=25))
    order = torch.arange(60).view(20, 3).T.flatten() if all_tokens else torch.arange(60)
    expected = kmeans_released(tokens[order], 6, batch_size=25, seed=4)
    assert torch.equal(found.prototypes[1:], expected.prototypes)
    assert torch.equal(found.assignment[1:].flatten()[order], expected.assignment + 1)
    plain = KMeans()(tokens, 6, seed=4)  # no fault of the release: item by item in either mode
    assert torch.equal(table(KMeans()).prototypes[1:], plain.prototypes)
