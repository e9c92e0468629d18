"""FDSA and S3-Rec as runs: trained, evaluated again, resumed, started from other runs."""

import pytest
import torch
from runs import composed, places, scores_of, weights

from missrec_pl.errors import ConfigError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train

SIZES = ("model.hidden_size=16", "model.inner_size=16", "model.num_layers=1", "data.batch_size=32")
FEW = ("+data.source.num_users=50", "+data.source.num_items=40", "data.source.first_domain=3")
ATTRIBUTES = "+data.source.attributes=true"


def run(tmp, model, *overrides, name):
    """Config of a small run on one domain, the same in both phases."""
    quiet = ("trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null", "baselines.names=[]")
    domain = ("data=synthetic", "data.source.num_domains=1", *FEW)
    return composed(f"model={model}", *domain, *SIZES, *quiet, *places(tmp, name), *overrides)


def pretraining(tmp, *overrides, name):
    return run(tmp, "s3rec", "phase=pretrain", "objective=s3rec", *overrides, name=name)


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.equal(weight, other[name]), name


def evaluated(tmp, folder, *overrides, name):
    said = (f"ckpt={folder}/checkpoints/best.ckpt", *places(tmp, name), "trainer=cpu", *overrides)
    return evaluate(composed(*said, config="eval"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("rivals")


@pytest.fixture(scope="module")
def fdsa(shared):
    return shared / "fdsa", train(run(shared, "fdsa", name="fdsa"))


@pytest.fixture(scope="module")
def pretrained(shared):
    return shared / "pretrained", train(pretraining(shared, ATTRIBUTES, name="pretrained"))


def test_fdsa_is_evaluated_again(shared, fdsa):
    folder, results = fdsa
    assert results["reads"] == ["features", "ids"]
    assert scores_of(evaluated(shared, folder, name="fdsa again")) == scores_of(results)


def test_fdsa_goes_on_as_if_undisturbed(shared, fdsa):
    train(run(shared, "fdsa", "trainer.max_epochs=2", name="fdsa whole"))
    train(run(shared, "fdsa", "trainer.max_epochs=2", f"resume={fdsa[0]}", name="fdsa rest"))
    assert_same(weights(shared / "fdsa whole"), weights(shared / "fdsa rest"))


def test_fdsa_starts_on_another_domain(shared, fdsa, caplog):
    caplog.set_level("INFO")
    start = ("data.source.first_domain=1", f"ckpt={fdsa[0]}/checkpoints/best.ckpt")
    train(run(shared, "fdsa", *start, name="fdsa elsewhere"))
    assert "new    item_embedding.weight: belongs to the items of the data" in caplog.text
    before, after = weights(fdsa[0], "best"), weights(shared / "fdsa elsewhere")
    trained = {name.partition(".")[0] for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert trained == {"item_embedding", "item_adapters", "field_attention"}


def test_fdsa_reads_attributes(shared):
    results = train(
        run(shared, "fdsa", "model.side=attributes", ATTRIBUTES, "objective=bpr", name="fdsa attributes")
    )
    assert results["reads"] == ["attributes", "ids"]
    assert results["metrics"]["val/recall@10"] > 0


def test_attributes_that_are_not_there(shared):
    for model, option in (("fdsa", "model.side=attributes"), ("s3rec", "model.attributes_from=column")):
        phase = ("phase=pretrain", "objective=s3rec") if model == "s3rec" else ()
        with pytest.raises(ConfigError, match=f"^{option}: the data has n"):
            train(run(shared, model, option, *phase, name="refused"))


def test_s3rec_is_pretrained_on_its_items(pretrained):
    folder, results = pretrained
    assert results["reads"] == ["attributes", "ids"]
    assert {name.partition(".")[0] for name in weights(folder)} >= {"heads", "item_embedding"}
    assert results["metrics"]["val/ndcg@10"] > 0


def test_s3rec_is_finetuned_from_there(shared, pretrained, caplog):
    caplog.set_level("INFO")
    folder = pretrained[0]
    start = f"ckpt={folder}/checkpoints/best.ckpt"
    results = train(run(shared, "s3rec", ATTRIBUTES, start, name="tuned"))
    assert results["reads"] == ["ids"]
    assert results["init"] == "pretrained"
    assert "new    " not in caplog.text
    assert "left   heads.aap.weight: not part of this network" in caplog.text
    before, after = weights(folder, "best"), weights(shared / "tuned")
    assert set(after) == {name for name in before if not name.startswith("heads.")}
    assert all(not torch.equal(before[name], after[name]) for name in after)
    assert scores_of(evaluated(shared, shared / "tuned", name="tuned again")) == scores_of(results)


def test_pretraining_goes_on_as_if_undisturbed(shared, pretrained):
    train(pretraining(shared, ATTRIBUTES, "trainer.max_epochs=2", name="whole"))
    train(pretraining(shared, ATTRIBUTES, "trainer.max_epochs=2", f"resume={pretrained[0]}", name="rest"))
    assert_same(weights(shared / "whole"), weights(shared / "rest"))


@pytest.mark.parametrize("source", ["clusters", "features"])
def test_attributes_from_features(shared, source):
    """Clusters are what is taken where the data has no column."""
    said = () if source == "clusters" else ("model.attributes_from=features", "objective.reference=true")
    results = train(pretraining(shared, *said, name=source))
    assert results["reads"] == ["features", "ids"]
    assert results["metrics"]["val/ndcg@10"] > 0
    last = weights(shared / source)
    assert ("fitted.attributes.values" in last) == (source == "clusters")


def test_what_does_not_go_together_is_told_in_one_line(shared, pretrained):
    with pytest.raises(ConfigError, match=r"^phase=pretrain: S3Rec reads item IDs"):
        train(run(shared, "s3rec", "phase=pretrain", name="refused"))
    with pytest.raises(ConfigError, match=r"^objective=s3rec: pre-trains S3-Rec; say phase=pretrain model=s3rec"):
        train(run(shared, "s3rec", "objective=s3rec", name="refused"))
    with pytest.raises(ConfigError, match=r"^objective=s3rec: pre-trains S3-Rec"):
        train(run(shared, "sasrec", "objective=s3rec", "phase=pretrain", name="refused"))
    with pytest.raises(ConfigError, match=r"^data.example=shifted: S3Rec sees what comes after a place"):
        train(pretraining(shared, "data.example=shifted", name="refused"))
