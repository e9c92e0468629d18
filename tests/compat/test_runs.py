"""Compat runs on generated data, as a user starts them."""

import pytest
import torch
from runs import QUIET, SMALL, composed, places, run_cli, tiny

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import DataError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train

COMPAT = ("model=missrec_compat", "interest=kmeans_released", "interest.num_prototypes=0.1")


def test_pretraining_from_the_command_line_then_finetuning_then_evaluation(tmp_path):
    """python train.py ... model.compat=true; its checkpoint goes on, and eval.py gives the same numbers again."""
    old = ("model=missrec_released", "model.compat=true", *COMPAT[1:])
    flags = ("phase=pretrain", "data.batch_size=512", *old)
    run = run_cli("data=synthetic", *SMALL, *QUIET, *places(tmp_path, "pre"), *flags)
    assert run.returncode == 0, run.stderr
    assert "note: model.compat=true is called model=missrec_compat from this version on" in run.stderr
    ckpt = tmp_path / "pre" / "checkpoints" / "best.ckpt"
    results = train(tiny(tmp_path, *COMPAT, "setting=transductive", f"ckpt={ckpt}", name="fine"))
    assert 0 < results["metrics"]["test/ndcg@10"] < 1
    best = tmp_path / "fine" / results["checkpoint"]
    again = evaluate(composed(f"ckpt={best}", *places(tmp_path, "eval"), config="eval"))
    assert again["metrics"]["test/ndcg@10"] == pytest.approx(results["metrics"]["test/ndcg@10"], rel=1e-6)


@pytest.fixture(scope="module")
def contextual(tmp_path_factory):
    tmp = tmp_path_factory.mktemp("contextual")
    return tmp / "run", train(tiny(tmp, *COMPAT, "model.sequence_fusion=contextual"))


def test_every_token_is_clustered_missing_ones_too(contextual):
    folder, _ = contextual
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assignment, prototypes = (
        weights["model.fitted.interests.assignment"],
        weights["model.fitted.interests.prototypes"],
    )
    num_items = len(assignment) - 1
    assert len(prototypes) - 1 == -(-num_items * 2 // 10)  # a tenth of all tokens, counted with the missing ones
    assert (assignment[0] == 0).all()
    assert (assignment[1:] > 0).all()
    assert (prototypes >= 0).all()  # their k-means' absolute values


def test_weights_have_the_same_names_with_and_without(contextual, tmp_path):
    compat = torch.load(contextual[0] / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    train(tiny(tmp_path, "model=missrec_released", "scorers=none", "+trainer.limit_train_batches=1"))
    mended = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert list(compat) == list(mended)


def test_data_without_word_dropped_text_says_what_to_do(tmp_path, monkeypatch):
    opened = Domain.open

    def without_views(path):
        domain = opened(path)
        domain.views = {}
        return domain

    monkeypatch.setattr(Domain, "open", without_views)
    flags = (*COMPAT, "phase=pretrain", "data.batch_size=256", "+trainer.limit_train_batches=1")
    with pytest.raises(DataError, match=r"has no view text_worddrop .*objective.augmentation.item_drop_share=1.0"):
        train(tiny(tmp_path, *flags))
    train(tiny(tmp_path, *flags, "+objective.augmentation.item_drop_share=1.0"))
