"""A network of one file and one YAML file works everywhere: SASRec, which the framework does not know by name."""

import json
import re

import pytest
import torch
from runs import ROOT, composed, places, run_cli, scores_of, weights

from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train

SIZES = ("model=sasrec", "data.batch_size=32", "baselines.names=[]")


def sasrec(tmp, *overrides, name="run"):
    """Config of a small run; the small sizes of the other networks have options that this one lacks."""
    small = ("model.hidden_size=16", "model.inner_size=16", "trainer=cpu", "trainer.max_epochs=1")
    quiet = ("callbacks.progress=null", *places(tmp, name))
    return composed("data=synthetic", *SIZES, *small, *quiet, *overrides)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("sasrec")


@pytest.fixture(scope="module")
def trained(shared):
    return shared / "trained", train(sasrec(shared, name="trained"))


def test_it_is_small_and_the_framework_does_not_name_it():
    file = ROOT / "src" / "missrec_pl" / "nn" / "sasrec.py"
    assert len(file.read_text().splitlines()) <= 150
    naming = [
        path.relative_to(ROOT / "src" / "missrec_pl").as_posix()
        for path in (ROOT / "src" / "missrec_pl").rglob("*.py")
        if re.search("sasrec", path.read_text(), re.IGNORECASE) and path != file
    ]
    # Networks and their blocks may name one another; the seam and all that is no network may not, but for the list
    # of classes that a checkpoint may name, the losses that cite their papers, and table 2's columns.
    seam = ("nn/contract.py", "nn/encoding.py", "nn/fitted.py", "nn/items.py", "nn/scorers/")
    of_framework = {path for path in naming if not path.startswith("nn/") or path.startswith(seam)}
    assert of_framework <= {
        "config/allowed.py",
        "losses/pairwise.py",
        "losses/sampled.py",
        "report/paper/published.py",
    }


def test_results_say_what_it_reads(trained):
    assert trained[1]["reads"] == ["ids"]
    assert trained[1]["interest"] is None
    assert trained[1]["model"] == "SASRec"


def test_an_evaluation_repeats_the_test(shared, trained):
    folder, results = trained
    cfg = composed(f"ckpt={folder}/checkpoints/best.ckpt", *places(shared, "eval"), "trainer=cpu", config="eval")
    assert scores_of(evaluate(cfg)) == scores_of(results)


def test_members_rank_together(shared, trained):
    folder, results = trained
    other = train(sasrec(shared, "seed=1", name="second"))
    said = (f"ckpt={folder}/checkpoints/best.ckpt", f"ensemble=[{shared}/second/checkpoints/best.ckpt]")
    both = evaluate(composed(*said, *places(shared, "both"), "trainer=cpu", config="eval"))
    assert both["model"] == "SASRec x2"
    assert scores_of(both) not in (scores_of(results), scores_of(other))


def test_a_resumed_run_is_an_undisturbed_one(shared):
    train(sasrec(shared, "trainer.max_epochs=2", name="whole"))
    train(sasrec(shared, name="half"))
    train(sasrec(shared, "trainer.max_epochs=2", f"resume={shared}/half", name="rest"))
    one, other = weights(shared / "whole"), weights(shared / "rest")
    assert one.keys() == other.keys()
    for name, weight in one.items():
        assert torch.equal(weight, other[name]), name


def test_it_starts_from_another_domain(shared, trained, caplog):
    caplog.set_level("INFO")
    folder, _ = trained
    other = ("data.source.first_domain=1", f"ckpt={folder}/checkpoints/best.ckpt")
    results = train(sasrec(shared, *other, "finetune=full", name="transferred"))
    assert results["init"] == "pretrained"
    assert "new    item_embedding.weight: belongs to the items of the data" in caplog.text


def test_adapters_alone_train(shared, trained):
    folder, _ = trained
    train(sasrec(shared, f"ckpt={folder}/checkpoints/best.ckpt", name="adapters"))
    before = read_checkpoint(folder / "checkpoints" / "best.ckpt").weights
    after = weights(shared / "adapters")
    changed = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert changed == {"item_embedding.weight"}


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(("objective=bce",), marks=pytest.mark.slow),
        ("objective=gbce", "data.num_negatives=9"),
        ("objective=bpr",),
        ("data.candidates=sampled", "data.num_negatives=9"),
        pytest.param(("data.candidates=in_batch", "data.example=prefix"), marks=pytest.mark.slow),
        ("data.example=cloze",),
        ("scorers=tuned",),
        ("model.items_from=features", "phase=pretrain"),
    ],
)
def test_losses_examples_scorers_and_phases(shared, said):
    name = "-".join(re.sub(r"\W", "", one) for one in said)
    results = train(sasrec(shared, *said, name=name))
    assert results["metrics"]["val/recall@10"] > 0


def test_pretraining_of_ids_is_refused(shared):
    with pytest.raises(ConfigError, match="phase=pretrain: SASRec reads item IDs"):
        train(sasrec(shared, "phase=pretrain", name="refused"))


def test_two_processes_are_one(shared, trained):
    said = ("data=synthetic", *SIZES, "model.hidden_size=16", "model.inner_size=16", "model.dropout=0")
    common = (
        *said,
        "+data.source.num_users=200",
        "trainer.max_epochs=1",
        "callbacks.progress=null",
        f"paths.cache_dir={shared}/cache",
    )
    for trainer, folder in (("cpu", "one"), ("ddp_sim", "two")):
        done = run_cli(*common, f"trainer={trainer}", f"hydra.run.dir={shared / folder}")
        assert done.returncode == 0, done.stderr
    one, two = weights(shared / "one"), weights(shared / "two")
    for name, weight in one.items():
        torch.testing.assert_close(weight, two[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.slow
def test_it_compiles(tmp_path):
    """In processes of their own: the shape checks of the tests cannot be compiled."""
    found = []
    for compile_ in ("false", "true"):
        folder = tmp_path / compile_
        run = run_cli(
            "data=synthetic", *SIZES, "model.hidden_size=16", "model.inner_size=16", "model.dropout=0",
            "trainer=cpu", "trainer.max_epochs=1", "callbacks.progress=null", f"compile={compile_}",
            f"paths.cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={folder}", timeout=600,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        found.append(scores_of(json.loads((folder / "results.json").read_text())))
    assert found[0]
    assert found[1] == pytest.approx(found[0], abs=1e-3)
