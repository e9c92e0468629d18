"""Configs that runs store name only what an evaluation may build; test_every_config.py reads each of them."""

import importlib
import inspect

import pytest
from omegaconf import OmegaConf
from runs import composed

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.checkpoints.versions import CLASS_PATHS
from missrec_pl.config.allowed import ALLOWED, is_own
from missrec_pl.config.stored import with_paths
from missrec_pl.config.stored_values import StoredValues, escaped
from missrec_pl.errors import CheckpointError

OTHER_NAMES = {
    "domain_folders": "DomainFolders",
    "Objective": "Contrastive",
    "FinetuneModule": "TrainingModule",
    "PretrainModule": "TrainingModule",
}


def values(**config):
    return StoredValues(config, "ckpt=some.ckpt")


def test_every_allowed_name_is_defined_by_this_project():
    for module, names in ALLOWED.items():
        for name in names:
            found = getattr(importlib.import_module(module), name)
            assert inspect.isclass(found) or name == "released_folders"
            assert found.__module__.startswith("missrec_pl.")
    assert InterestRefresh.at_evaluation is True


def test_every_old_class_path_leads_to_an_allowed_class_of_that_name():
    for old, new in CLASS_PATHS.items():
        assert is_own(new) or new == "missrec_pl.modules.schedules.WarmupCosine"  # of training: never built
        assert not is_own(old)
        name = old.rpartition(".")[2]
        assert OTHER_NAMES.get(name, name) == new.rpartition(".")[2]


def test_paths_that_a_run_never_settled_are_this_machines(monkeypatch):
    monkeypatch.setenv("MISSREC_DATA_DIR", "/elsewhere")
    stored = OmegaConf.to_container(composed(), resolve=False)
    found = with_paths(stored, {"output_dir": "/run"})["paths"]
    assert found == {"data_dir": "/elsewhere", "cache_dir": "data/cache", "output_dir": "/run"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${b.c}", 3),
        ("${b}", {"c": 3, "d": 3, "e": "c"}),
        ("${b.${b.e}}", 3),
        ("${l[1]}-${l.0}", "y-x"),
        ("${compat:1,2}", 1),
        ("${compat:false,true}", False),
        ("${compat:null,x}", None),
        ("${compat:1e-3,x}", 0.001),
        ("a $ {b}", "a $ {b}"),
        ("missrec_pl.${compat:one.Two,three}", "missrec_pl.one.Two"),
    ],
)
def test_references_and_the_switch_are_filled_in(text, value):
    config = {"a": text, "b": {"c": 3, "d": "${.c}", "e": "c"}, "l": ["x", "y"]}
    assert values(**config).get("a") == value
    if value is not None and "compat" not in text:  # the switch is of stored configs alone
        assert OmegaConf.to_container(OmegaConf.create(config), resolve=True)["a"] == value


@pytest.mark.parametrize(
    "text",
    ["${oc.env:HOME}", "${b:1}", "\\${b}", "${compat:1}", "${}", "${b", "${[}", "${....b}", "${a}", "${a}${a}"],
)
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(CheckpointError, match=r"^ckpt=some\.ckpt: its a"):
        values(a=text, b=1).get("a")


def test_a_config_that_grows_without_end_is_refused():
    config = {f"v{i}": f"${{v{i + 1}}}" * 10 for i in range(9)} | {"v9": "xxxxxxxxxx"}
    with pytest.raises(CheckpointError, match="grows without end"):
        values(**config).get("v0")
    loop: dict = {}
    loop["a"] = loop
    with pytest.raises(CheckpointError, match="goes deeper"):
        values(**loop).get("a")


def test_an_escaped_text_is_itself_to_omegaconf():
    for text in ("${a}", "\\${a}", "$", "a\\b", "x=${oc.env:HOME}"):
        shown = OmegaConf.create({"t": escaped(text)}).t
        assert shown == text.replace("\\${", "${")
