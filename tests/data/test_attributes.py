"""Attributes of items: an optional column of `items.parquet`, one numbering over all domains."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from missrec_pl.data.augmentations import WORD_DROPPED, drop_words
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.update import set_attributes
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import DataError
from missrec_pl.prepare.exchange.merging import merge_domains

ROWS = {"text": [[1.0, 2.0]] * 3}


@pytest.fixture
def domains(memory_domain):
    """Values of both domains: a, b, c, d; the second has no column, the third values of the first."""
    return [
        memory_domain("one", features=ROWS, attributes=[["d", "b", "d"], None, ["", None, "a"]]),
        memory_domain("two", features=ROWS),
        memory_domain("three", features=ROWS, attributes=[["b"], [], ["c", "a"]]),
    ]


def test_values_are_numbered_over_all_domains(domains):
    catalogue = Catalogue(domains, ["text"])
    assert catalogue.num_attribute_values == {"attributes": 4}
    wanted = [[0, 0], [2, 4], [0, 0], [1, 0], [0, 0], [0, 0], [0, 0], [2, 0], [0, 0], [1, 3]]
    assert catalogue.attributes["attributes"].tolist() == wanted


def test_tables_carry_them(domains):
    catalogue = Catalogue(domains, ["text"])
    ids = torch.tensor([0, 9, 1])
    assert catalogue.table(ids).attributes["attributes"].tolist() == [[0, 0], [1, 3], [2, 4]]
    assert torch.equal(
        catalogue.whole(torch.device("cpu")).attributes["attributes"], catalogue.attributes["attributes"]
    )


def test_without_a_column_there_is_nothing(memory_domain):
    catalogue = Catalogue([memory_domain("one", features=ROWS)], ["text"])
    assert catalogue.attributes == catalogue.num_attribute_values == {}
    assert not catalogue.whole(torch.device("cpu")).attributes


def test_items_without_any_value(memory_domain):
    catalogue = Catalogue([memory_domain("one", features=ROWS, attributes=[[], [], []])], ["text"])
    assert catalogue.num_attribute_values == {"attributes": 0}
    assert catalogue.attributes["attributes"].tolist() == [[0]] * 4


def test_words_that_are_dropped_leave_them(domains):
    table = Catalogue(domains, ["text"]).table(torch.tensor([0, 1, 9]))
    table = type(table)(**{**vars(table), "views": {WORD_DROPPED: table.features["text"]}})
    batch = SequenceBatch(torch.tensor([[1, 2]]), torch.tensor([2]), torch.tensor([1]), torch.tensor([0]), table)
    dropped = drop_words(batch, torch.tensor([[True, False]])).items
    assert dropped.attributes["attributes"].tolist() == 2 * [[0, 0], [2, 4], [1, 3]]


def test_a_folder_gets_them_and_loses_none(synthetic_source, tmp_path):
    (plain,) = synthetic_source().paths()
    (with_them,) = synthetic_source(attributes=True).paths()
    before, after = Domain.open(plain), Domain.open(with_them, verify=True)
    assert before.attributes() is None
    assert after.attributes()[0].as_py() == [after.texts()[1].split()[0], after.texts()[1].split()[1][6:]]
    assert np.array_equal(before.features("text"), after.features("text"))
    assert before.fingerprint != after.fingerprint
    merged = Domain.open(merge_domains([with_them], tmp_path / "merged"))
    assert merged.attributes().to_pylist() == after.attributes().to_pylist()
    set_attributes(tmp_path / "merged", [["x"]] * merged.num_items)
    assert Domain.open(tmp_path / "merged", verify=True).attributes().to_pylist() == [["x"]] * merged.num_items
    with pytest.raises(DataError, match=r"1 lists of attributes for 30 items"):
        set_attributes(tmp_path / "merged", [["x"]])


def test_a_column_of_another_type_is_refused(synthetic_source, tmp_path):
    (path,) = synthetic_source().paths()
    merged = merge_domains([path], tmp_path / "merged")
    table = pq.read_table(merged / "items.parquet").append_column("attributes", pa.array(["x"] * 30))
    pq.write_table(table, merged / "items.parquet")
    with pytest.raises(DataError, match="attributes are string"):
        Domain(merged, Domain.open(path).manifest).attributes()


def test_networks_learn_their_number(synthetic_source):
    data = DomainDataModule([synthetic_source(attributes=True)])
    data.setup()
    assert data.shape.attributes == {"attributes": 5}
