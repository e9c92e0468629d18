import numpy as np
import pytest
import torch
from tiny_runs import MODELS, make_model, make_module

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Objective

KS = (1, 5, 10)


@pytest.fixture(params=[1, 2], ids=["one domain", "two domains"])
def datamodule(synthetic_source, request):
    datamodule = DomainDataModule([synthetic_source(num_domains=request.param)], eval_batch_size=7)
    datamodule.setup()
    return datamodule


def reference(model, datamodule, rows, *, mask_history, temperature=0.07):
    """User by user: scores of the own domain's items, pairs of ranks by plain comparison."""
    catalogue, sequences = datamodule.catalogue, datamodule.sequences
    table = catalogue.whole(torch.device("cpu"))
    items = model.embed_items(table.features, table.rows, table.is_missing, table.ids)
    ranks = []
    for user, end in zip(rows.user, rows.target, strict=True):
        start = sequences.starts[user]
        history = torch.from_numpy(sequences.items[start : start + end])
        target = int(sequences.items[start + end])
        own = catalogue.domain_of(sequences.domain[user])
        state = model.encode_users(history[None], torch.tensor([len(history)]), items).state
        scores = (model.score(state, items)[0] / temperature).tolist()
        for item in set(history.tolist()):
            scores[item] += model.history_bias.seen.item()
        scores[int(history[-1])] += model.history_bias.last.item()
        hidden = set(history.tolist()) - {target} if mask_history else set()
        others = [i for i in range(own.start, own.stop) if i != target and i not in hidden]
        ranks.append(1 + sum(scores[i] > scores[target] for i in others))
    ranks = np.array(ranks)
    metrics = {"mrr": (1 / ranks).mean()}
    for k in KS:
        metrics[f"recall@{k}"] = (ranks <= k).mean()
        metrics[f"ndcg@{k}"] = ((ranks <= k) / np.log2(1 + ranks)).mean()
    return metrics


def _named(stage, metrics):
    return {f"{stage}/{name}": value for name, value in metrics.items()}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
@pytest.mark.parametrize("mask_history", [False, True], ids=["", "mask_history"])
def test_evaluation_ranks_as_plain_loops_do(datamodule, make_trainer, kind, transductive, mask_history):
    model = make_model(kind, datamodule.catalogue, transductive=transductive)
    module = make_module("finetune", model, mask_history=mask_history, max_logits=100 if mask_history else 1 << 25)
    trainer = make_trainer()
    (tested,) = trainer.test(module, datamodule=datamodule, verbose=False)
    with torch.no_grad():
        expected = {
            **_named("test", reference(model, datamodule, datamodule.sequences.test, mask_history=mask_history)),
            **_named(
                "test_history_excluded", reference(model, datamodule, datamodule.sequences.test, mask_history=True)
            ),
        }
    assert tested == pytest.approx(expected, abs=1e-6)
    (validated,) = trainer.validate(module, datamodule=datamodule, verbose=False)
    with torch.no_grad():
        expected = reference(model, datamodule, datamodule.sequences.validation, mask_history=mask_history)
    assert validated == pytest.approx({f"val/{name}": value for name, value in expected.items()}, abs=1e-6)


def test_rankings_may_have_a_temperature_of_their_own(datamodule, make_trainer):
    model = make_model("missrec", datamodule.catalogue)
    with torch.no_grad():
        model.history_bias.seen.fill_(-3.0)  # beside a bias the temperature changes ranks
    objective = Objective(temperature=0.07, eval_temperature=0.5)
    module = make_module("finetune", model, objective)
    (tested,) = make_trainer().test(module, datamodule=datamodule, verbose=False)
    with torch.no_grad():
        rows = datamodule.sequences.test
        expected = reference(model, datamodule, rows, mask_history=False, temperature=0.5)
        plain = reference(model, datamodule, rows, mask_history=False)
    assert expected != plain
    assert {name: tested[f"test/{name}"] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_training_keeps_its_temperature(datamodule, make_trainer):
    losses = []
    for eval_temperature in (None, 0.5):
        module = make_module(
            "finetune", make_model("missrec", datamodule.catalogue), Objective(eval_temperature=eval_temperature)
        )
        trainer = make_trainer(max_epochs=1, limit_val_batches=0)
        trainer.fit(module, datamodule=datamodule)
        losses.append(float(trainer.callback_metrics["train/loss"]))
    assert losses[0] == losses[1]


def test_masking_the_history_changes_the_ranks(datamodule, make_trainer):
    model = make_model("missrec", datamodule.catalogue)
    results = [
        make_trainer().test(
            make_module("finetune", model, mask_history=mask), datamodule=datamodule, verbose=False
        )[0]
        for mask in (False, True)
    ]
    assert results[1]["test/mrr"] > results[0]["test/mrr"]


def test_the_embedded_catalogue_does_not_depend_on_the_chunks(datamodule, monkeypatch):
    module = make_module("finetune", make_model("missrec", datamodule.catalogue))
    module.trainer = type("Trainer", (), {"datamodule": datamodule})()
    whole = module.embed_catalogue()
    monkeypatch.setattr("missrec_pl.modules.base.EMBED_CHUNK", 7)
    chunked = module.embed_catalogue()
    torch.testing.assert_close(chunked.tokens, whole.tokens)
    assert torch.equal(chunked.ids, torch.arange(datamodule.catalogue.num_items + 1))
    assert torch.equal(chunked.is_missing, datamodule.catalogue.is_missing)
    assert torch.equal(chunked.interest, module.model.interests.assignment)


def test_ranking_outside_of_an_evaluation_is_a_bug_with_a_name(datamodule):
    module = make_module("finetune", make_model("missrec", datamodule.catalogue), Objective())
    with pytest.raises(RuntimeError, match="needs the embedded catalogue"):
        module.ranks(next(iter(datamodule.test_dataloader())))
