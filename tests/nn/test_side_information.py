"""FDSA's fields and noise; clusters that stand for attributes."""

from dataclasses import replace

import pytest
import torch

from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError
from missrec_pl.nn import DataShape
from missrec_pl.nn.blocks.cluster_attributes import ClusterAttributes
from missrec_pl.nn.contract import ItemInputs
from missrec_pl.nn.fdsa import FDSA
from missrec_pl.nn.fitted import FittingContext, NewItems
from missrec_pl.system.processes import Share
from missrec_pl.testing.scene import small_data

SIZES = {"hidden_size": 8, "num_heads": 2, "inner_size": 10, "num_layers": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return small_data(tmp_path_factory.mktemp("side"))


def attributes(rows):
    values = torch.tensor(rows)
    is_missing = torch.zeros(len(values), 0, dtype=torch.bool)
    return ItemInputs(ItemTable(torch.arange(len(values)), is_missing, {}, {}, attributes={"attributes": values}))


def test_a_missing_modality_takes_no_part(data):
    inputs = ItemInputs(data.catalogue.whole(torch.device("cpu")))
    network = FDSA(data.shape, **SIZES)
    fields, is_missing = network.fields(inputs)
    weights = network.weights(fields, is_missing)
    assert torch.equal(weights == 0, is_missing)
    sums = weights.sum(1)
    assert torch.allclose(sums, (~is_missing.all(1)).float())
    side = network.encode_items(inputs).extra["side"]
    image_only = is_missing[:, 0] & ~is_missing[:, 1]
    assert image_only.any()
    assert torch.allclose(side[image_only], fields[image_only, 1])
    assert not side[is_missing.all(1)].any()


def test_noise_is_frozen_small_and_kept_with_the_items(data):
    shape = DataShape(500, {"text": 40})
    network = FDSA(shape, reference=True, **SIZES)
    noise = network.item_adapters.noise.text.weight
    assert abs(float(noise.detach().std()) - 0.02) < 0.001
    assert noise[0].any()
    assert not noise.requires_grad
    assert "item_adapters.noise.text.weight".startswith(network.item_bound)
    assert network.reads == {"ids"}


def test_attributes_are_averaged_and_none_takes_no_part():
    network = FDSA(DataShape(3, {}, attributes={"attributes": 4}), side="attributes", **SIZES)
    table = network.attribute_embeddings.attributes.weight
    side = network.encode_items(attributes([[0, 0], [1, 3], [2, 0], [0, 0]])).extra["side"]
    torch.testing.assert_close(
        side, torch.stack([0 * table[0], (table[1] + table[3]) / 2, table[2], 0 * table[0]])
    )


def test_as_published_an_unknown_single_value_is_one_like_others():
    shape = DataShape(3, {}, attributes={"attributes": 4})
    network = FDSA(shape, side="attributes", reference=True, **SIZES)
    side = network.encode_items(attributes([[0], [1], [2], [0]])).extra["side"]
    torch.testing.assert_close(side, network.attribute_embeddings.attributes.weight[[0, 1, 2, 0]])


def test_attributes_that_the_data_lacks_are_refused():
    with pytest.raises(ConfigError, match=r"model\.side=attributes: the data has none"):
        FDSA(DataShape(3, {"text": 2}), side="attributes", **SIZES)


def test_clusters_stand_for_attributes(data):
    part = ClusterAttributes(data.shape, 4)
    assert part.is_empty
    part.fit(FittingContext(data.catalogue, lambda: None, None, lambda: iter(()), 0, Share()))
    has_some = ~data.catalogue.is_missing.all(1)
    assert torch.equal(part.values[:, 0] > 0, has_some)
    assert set(part.values.flatten().tolist()) - {0} == {1, 2, 3, 4}
    again = ClusterAttributes(data.shape, 4)
    again.fit(FittingContext(data.catalogue, lambda: None, None, lambda: iter(()), 0, Share()))
    assert torch.equal(part.values, again.values)


def test_an_item_that_comes_later_is_of_the_nearest_cluster(data):
    part = ClusterAttributes(data.shape, 4)
    part.fit(FittingContext(data.catalogue, lambda: None, None, lambda: iter(()), 0, Share()))
    before, count, twins = part.values.clone(), data.shape.num_items, torch.tensor([1, 2, 3])
    table = data.catalogue.table(torch.cat([torch.zeros(1, dtype=torch.long), twins]))
    ids = torch.arange(count, count + 4)
    ids[0] = 0
    part.grow(NewItems(ids[1:], {}, replace(table, ids=ids), lambda: None))
    assert torch.equal(part.values[: count + 1], before)
    assert torch.equal(part.values[count + 1 :], before[twins])
    part.check()
    part.values[1] = 9
    with pytest.raises(ValueError, match="not there"):
        part.check()


def test_no_more_clusters_than_items():
    assert ClusterAttributes(DataShape(9, {"text": 2}, {"text": 5}), 64).num_clusters == 5
