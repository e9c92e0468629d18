import numpy as np
import pytest
import torch

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.fitting.whitening import Axes, DomainWhitening, Whitening

CPU = torch.device("cpu")
HALVES = [[0.5, -1.25], None, [3.0, 0.125]]  # exact in float16


@pytest.fixture
def domains(memory_domain):
    """Items 1..3 of "a" have texts, two of them images; items 4..5 of "b" have images only."""
    a = memory_domain("a", features={"text": [[1, 2, 3], [4, 5, 6], [7, 8, 9]], "image": HALVES})
    b = memory_domain("b", features={"image": [[-2.0, 4.0], None]}, num_items=2, dtype=np.float16)
    return [a, b]


def tables_equal(one, other):
    assert torch.equal(one.ids, other.ids)
    assert torch.equal(one.is_missing, other.is_missing)
    for name in one.rows:
        assert torch.equal(one.rows[name], other.rows[name])
        assert torch.equal(one.features[name].float(), other.features[name].float())
    return True


def test_global_ids_follow_the_domains(domains):
    catalogue = Catalogue(domains, ["text", "image"])
    assert catalogue.num_items == 5
    assert int((~catalogue.is_missing).sum()) == 3 + 2 + 1
    assert catalogue.feature_dims == {"text": 3, "image": 2}
    assert [catalogue.domain_of(d) for d in range(2)] == [slice(1, 4), slice(4, 6)]
    missing = [[True, True], [False, False], [False, True], [False, False], [True, False], [True, True]]
    assert catalogue.is_missing.tolist() == missing


@pytest.mark.parametrize("placement", ["device", "host", "memmap"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_placement_and_dtype_gives_the_same_table(domains, placement, dtype):
    catalogue = Catalogue(domains, ["text", "image"], placement=placement, dtype=dtype)
    catalogue.to(CPU)
    table = catalogue.table(torch.tensor([0, 5, 4, 3, 1]))
    assert table.is_missing.tolist() == [[True] * 2, [True] * 2, [True, False], [False] * 2, [False] * 2]
    assert {name: rows.tolist() for name, rows in table.rows.items()} == {"text": [3, 4], "image": [2, 3, 4]}
    assert table.features["text"].float().tolist() == [[7, 8, 9], [1, 2, 3]]
    assert table.features["image"].float().tolist() == [[-2.0, 4.0], [3.0, 0.125], [0.5, -1.25]]
    later = catalogue.table(torch.tensor([0, 5, 4, 3, 1]), with_features=False)
    assert not later.features
    assert tables_equal(catalogue.fill(later), table)


@pytest.mark.parametrize("placement", ["device", "host", "memmap"])
def test_the_whole_catalogue_is_the_table_of_all_ids(domains, placement):
    catalogue = Catalogue(domains, ["image", "text"], placement=placement)
    assert tables_equal(catalogue.whole(CPU), catalogue.table(torch.arange(6)))


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_chunks_cover_the_catalogue_once(domains, size):
    catalogue = Catalogue(domains, ["text", "image"])
    chunks = list(catalogue.chunks(size, CPU))
    assert all(chunk.ids[0] == 0 and len(chunk.ids) <= size + 1 for chunk in chunks)
    assert torch.cat([chunk.ids[1:] for chunk in chunks]).tolist() == [1, 2, 3, 4, 5]
    whole = catalogue.whole(CPU)
    for name in catalogue.modalities:
        assert torch.equal(torch.cat([chunk.features[name] for chunk in chunks]), whole.features[name])


def test_placements_agree_on_domain_folders(synthetic_source):
    domains = [Domain.open(path) for path in synthetic_source(num_domains=2).paths()]
    catalogues = [Catalogue(domains, ["text", "image"], placement=r) for r in ("device", "host", "memmap")]
    ids = torch.randperm(catalogues[0].num_items, generator=torch.Generator().manual_seed(0)) + 1
    ids = torch.cat([torch.zeros(1, dtype=torch.long), ids])
    first, *others = [catalogue.table(ids) for catalogue in catalogues]
    assert all(tables_equal(first, other) for other in others)
    item = int(ids[first.rows["image"][0]])
    assert item > 0
    domain, local = divmod(item - 1, 30)
    assert first.features["image"][0].tolist() == domains[domain].features("image")[local + 1].tolist()
    halved = Catalogue(domains, ["text", "image"], dtype="float16").table(ids)
    assert halved.features["text"].dtype == torch.float16
    torch.testing.assert_close(halved.features["text"].float(), first.features["text"], rtol=1e-3, atol=1e-3)


def test_a_subset_of_modalities(domains):
    catalogue = Catalogue(domains, ["text"])
    assert list(catalogue.table(torch.tensor([0, 1, 4])).features) == ["text"]
    assert catalogue.is_missing.shape == (6, 1)


def test_moving_a_table_moves_everything(domains):
    table = Catalogue(domains, ["text", "image"]).table(torch.tensor([0, 1, 4])).to("meta")
    assert {table.ids.device.type, table.is_missing.device.type} == {"meta"}
    assert {t.device.type for part in (table.rows, table.features) for t in part.values()} == {"meta"}


def test_an_unknown_modality_names_the_known_ones(domains):
    with pytest.raises(
        DataError, match=r"'audio', which none of the domains \['a', 'b'\] has.*\['image', 'text'\]"
    ):
        Catalogue(domains, ["text", "audio"])


def test_no_modality_is_refused(domains):
    with pytest.raises(ConfigError, match=r"data\.modalities is empty"):
        Catalogue(domains, [])


def test_different_widths_are_refused_by_name(memory_domain):
    domains = [memory_domain(name, features={"text": [[1.0] * width]}) for name, width in (("a", 2), ("b", 3))]
    with pytest.raises(DataError, match=r"'text' has different widths.*'a': 2, 'b': 3"):
        Catalogue(domains, ["text"])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("placement", ["device", "host"])
@pytest.mark.parametrize("stored", [np.float16, np.float32])
@pytest.mark.parametrize("whitening", [0.0, 0.5])
def test_damaged_features_name_the_item(memory_domain, bad, placement, stored, whitening):
    rows = [[-65504.0, 65504.0], [6e-8, -0.0], [bad, 0.0]]  # the largest and least halves are sound
    Catalogue([memory_domain("sound", features={"text": rows[:2]}, dtype=stored)], ["text"], placement=placement)
    domain = memory_domain("spoilt", features={"text": rows}, dtype=stored)
    with pytest.raises(DataError, match=r"memory/spoilt: text features of item 3 hold NaN or infinity"):
        Catalogue(
            [domain], ["text"], placement=placement, transform=DomainWhitening(whitening) if whitening else None
        )


def test_damaged_features_are_found_when_they_are_read_from_the_file(memory_domain):
    domain = memory_domain("spoilt", features={"text": [[1.0, 1.0], [2.0, 2.0], [float("nan"), 0.0]]})
    catalogue = Catalogue([domain], ["text"], placement="memmap")
    assert catalogue.table(torch.tensor([0, 2])).features["text"].tolist() == [[2.0, 2.0]]
    with pytest.raises(DataError, match=r"memory/spoilt: text features of item 3 hold NaN or infinity"):
        catalogue.table(torch.tensor([0, 1, 3]))


@pytest.mark.parametrize("option", [{"placement": "gpu"}, {"dtype": "bfloat16"}])
def test_unknown_options_list_the_choices(domains, option):
    with pytest.raises(ConfigError, match=rf"features\.{next(iter(option))}='.*': choose one of"):
        Catalogue(domains, ["text"], **option)


@pytest.mark.parametrize("placement", ["device", "host", "memmap"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_each_domain_is_whitened_along_its_own_axes(memory_domain, placement, dtype):
    random = np.random.default_rng(0)
    rows = [random.normal(3 * d, 1 + d, (9, 4)).astype(np.float32) for d in range(2)]
    lists = [domain.tolist() for domain in rows]
    lists[0][2] = None  # has no text
    domains = [memory_domain(str(d), features={"text": text}) for d, text in enumerate(lists)]
    table = Catalogue(domains, ["text"], placement=placement, dtype=dtype, transform=DomainWhitening(0.5)).whole(
        CPU
    )
    assert table.is_missing[:, 0].nonzero()[:, 0].tolist() == [0, 3]
    expected = []
    for d, domain in enumerate(domains):
        axes = Axes(domain.features("text"), domain.present("text"))
        expected.append(Whitening(axes, 0.5)(torch.from_numpy(rows[d])[[i for i in range(9) if lists[d][i]]]))
    tolerance = 1e-5 if dtype == "float32" or placement == "memmap" else 2e-3
    torch.testing.assert_close(table.features["text"].float(), torch.cat(expected), rtol=tolerance, atol=tolerance)
