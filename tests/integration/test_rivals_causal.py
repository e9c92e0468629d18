"""LiGR, HSTU, gSASRec and SASRec on features in whole runs: trained, evaluated, resumed, moved to other items."""

import pytest
import torch
from runs import composed, places, scores_of, weights

from missrec_pl.data.domain import folder
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train

SMALL = {
    "gsasrec": ("model.hidden_size=16", "model.inner_size=16", "data.num_negatives=9"),
    "hstu": ("model.hidden_size=16",),
    "ligr": ("model.hidden_size=16", "model.inner_size=16", "data.num_negatives=9"),
    "sasrec_text": ("model.hidden_size=16", "model.inner_size=16"),
}


def run(tmp, model, *overrides, name="run"):
    quiet = ("data.batch_size=64", "trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null")
    return composed(
        "data=synthetic",
        f"model={model}",
        *SMALL[model],
        *quiet,
        "baselines.names=[]",
        *places(tmp, name),
        *overrides,
    )


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("causal")


@pytest.fixture(scope="module")
def trained(shared):
    done = {}

    def of(model):
        if model not in done:
            done[model] = train(run(shared, model, name=model))
        return shared / model, done[model]

    return of


READS = {"gsasrec": ["ids"], "hstu": ["ids", "timestamps"], "ligr": ["ids"], "sasrec_text": ["features"]}


@pytest.mark.parametrize("model", SMALL)
def test_an_evaluation_repeats_the_test(model, shared, trained):
    done, results = trained(model)
    assert results["reads"] == READS[model]
    said = (f"ckpt={done}/checkpoints/best.ckpt", "trainer=cpu", *places(shared, f"{model}_eval"))
    assert scores_of(evaluate(composed(*said, config="eval"))) == scores_of(results)


def test_a_resumed_run_is_an_undisturbed_one(shared, trained):
    """With dropout and times: what is drawn goes on where it stopped."""
    done, _ = trained("hstu")
    said = ("trainer.max_epochs=2", "test=false")
    train(run(shared, "hstu", *said, name="whole"))
    train(run(shared, "hstu", *said, f"resume={done}", name="rest"))
    one, other = weights(shared / "whole"), weights(shared / "rest")
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.equal(weight, other[name]), name


def test_ids_start_fresh_on_other_items(shared, trained, caplog):
    caplog.set_level("INFO")
    done, _ = trained("gsasrec")
    said = (f"ckpt={done}/checkpoints/best.ckpt", "data.source.first_domain=1", "test=false")
    assert train(run(shared, "gsasrec", *said, name="moved"))["init"] == "pretrained"
    for table in ("item", "output"):
        assert f"new    {table}_embedding.weight: belongs to the items of the data" in caplog.text


def test_features_pretrain_and_take_ids_beside(shared):
    """On other items than those of pre-training."""
    train(
        run(
            shared,
            "sasrec_text",
            "phase=pretrain",
            "test=false",
            "trainer.limit_train_batches=3",
            name="pretrained",
        )
    )
    said = ("setting=transductive", f"ckpt={shared}/pretrained/checkpoints/best.ckpt")
    results = train(run(shared, "sasrec_text", *said, "finetune=full", name="transductive"))
    assert results["reads"] == ["features", "ids"]


def test_two_tables_are_of_ids(shared):
    with pytest.raises(ConfigError, match=r"model\.table=separate: is for item IDs"):
        train(run(shared, "gsasrec", "model.items_from=features", name="refused"))


def test_an_unknown_block_is_refused(shared):
    with pytest.raises(ConfigError, match=r"model\.block=bert: choose one of recbole, rectools, gsasrec, ligr"):
        train(run(shared, "gsasrec", "model.block=bert", name="refused"))


def test_data_without_times_is_named(shared, monkeypatch):
    monkeypatch.setattr(folder, "Sequences", lambda items, offsets, _=None: Sequences(items, offsets))
    with pytest.raises(DataError, match="has no timestamps, which this run reads") as told:
        train(run(shared, "hstu", name="refused"))
    assert "\n" not in str(told.value)


def test_a_loss_may_know_the_data(shared):
    """It is fitted before training, and again where the checkpoint is used."""
    correction = "popularity"
    results = train(run(shared, "ligr", f"objective.correction={correction}", name=correction))
    ckpt = f"ckpt={shared / correction}/checkpoints/best.ckpt"
    again = evaluate(composed(ckpt, "trainer=cpu", *places(shared, f"{correction}_eval"), config="eval"))
    assert scores_of(again) == scores_of(results)
