"""GRU4Rec and BERT4Rec in whole runs: training, evaluation, resuming, another domain, losses and examples."""

import re

import pytest
import torch
from runs import composed, places, scores_of, weights

from missrec_pl.errors import ConfigError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train

SIZES = {
    "gru4rec": ("model=gru4rec", "model.embedding_size=12", "model.hidden_size=16"),
    "bert4rec": ("model=bert4rec", "model.hidden_size=16", "model.inner_size=16"),
}
NETWORKS = list(SIZES)
DATA = ("data=synthetic", "data.batch_size=64", "+data.source.num_users=150", "+data.source.num_items=60")


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def config(tmp, network, *overrides, name):
    """Config of a small run."""
    quiet = ("trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null", "baselines.names=[]")
    return composed(*DATA, *SIZES[network], *quiet, *places(tmp, name), *overrides)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("rivals")


@pytest.fixture(scope="module")
def trained(shared):
    return {name: train(config(shared, name, name=name)) for name in NETWORKS}


@pytest.mark.parametrize("network", NETWORKS)
def test_an_evaluation_repeats_the_test(shared, trained, network):
    assert trained[network]["reads"] == ["ids"]
    ckpt = f"ckpt={shared}/{network}/checkpoints/best.ckpt"
    cfg = composed(ckpt, *places(shared, f"{network}-eval"), "trainer=cpu", config="eval")
    assert scores_of(evaluate(cfg)) == scores_of(trained[network])


@pytest.mark.parametrize("network", [slow("gru4rec"), "bert4rec"])
def test_a_resumed_run_is_an_undisturbed_one(shared, trained, network):
    train(config(shared, network, "trainer.max_epochs=2", name=f"{network}-whole"))
    resumed = ("trainer.max_epochs=2", f"resume={shared}/{network}")
    train(config(shared, network, *resumed, name=f"{network}-rest"))
    one, other = weights(shared / f"{network}-whole"), weights(shared / f"{network}-rest")
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.equal(weight, other[name]), name


@pytest.mark.parametrize("network", NETWORKS)
def test_on_other_items_the_items_start_fresh(shared, trained, network, caplog):
    caplog.set_level("INFO")
    other = ("data.source.first_domain=1", f"ckpt={shared}/{network}/checkpoints/best.ckpt", "test=false")
    results = train(config(shared, network, *other, name=f"{network}-transferred"))
    assert results["init"] == "pretrained"
    assert "new    item_embedding.weight: belongs to the items of the data" in caplog.text
    with pytest.raises(ConfigError, match=r"phase=pretrain: .* reads item IDs"):
        train(config(shared, network, "phase=pretrain", name=f"{network}-refused"))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("gru4rec", ("objective=bpr_max", "data.num_negatives=9")),
        ("bert4rec", ("data.example=prefix", "trainer.precision=bf16-mixed")),
        slow("gru4rec", ("objective=top1_max", "data.candidates=all")),
        slow("gru4rec", ("objective=bpr", "model.num_layers=2")),
        slow("gru4rec", ("data.example=prefix", "trainer.precision=bf16-mixed")),
        slow("bert4rec", ("data.candidates=sampled", "data.num_negatives=9")),
        slow("bert4rec", ("objective=gbce", "data.num_negatives=9")),
        slow("bert4rec", ("data.candidates=in_batch", "scorers=tuned")),
    ],
)
def test_losses_and_examples(shared, network, said):
    name = "-".join(re.sub(r"\W", "", one) for one in (network, *said))
    results = train(config(shared, network, *said, "trainer.limit_train_batches=4", "test=false", name=name))
    assert results["metrics"]["val/recall@10"] > 0


def test_a_network_that_sees_both_sides_is_not_trained_to_copy(shared):
    with pytest.raises(ConfigError, match=r"data\.example=shifted: BERT4Rec sees what comes after a place"):
        train(config(shared, "bert4rec", "data.example=shifted", name="copying"))


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_rows_are_learned_by_heart(shared, network):
    said = ("debug=overfit", "data.overfit_rows=16", "callbacks.progress=null", "optim.optimizer.lr=0.01")
    cfg = composed(*DATA, *SIZES[network], *said, "baselines.names=[]", *places(shared, f"{network}-overfit"))
    assert train(cfg)["metrics"]["test/recall@1"] == 1
