import numpy as np
import pytest
import torch
from tiny_runs import MODELS, make_model, make_module

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Contrastive
from missrec_pl.nn import Histories, ItemInputs, Users

KS = (1, 5, 10)


@pytest.fixture(params=[1, 2], ids=["one domain", "two domains"])
def datamodule(synthetic_source, request):
    datamodule = DomainDataModule(
        [synthetic_source(num_domains=request.param)], candidates="all", eval_batch_size=7
    )
    datamodule.setup()
    return datamodule


def reference(model, scorers, datamodule, rows, *, mask_history, temperature=0.07):
    """User by user: scores of the own domain's items, pairs of ranks by plain comparison."""
    catalogue, sequences = datamodule.catalogue, datamodule.sequences
    table = catalogue.whole(torch.device("cpu"))
    items, seen_items = model.encode_items(ItemInputs(table)), scorers["seen"]
    ranks = []
    for user, end in zip(rows.user, rows.target, strict=True):
        start = sequences.starts[user]
        history = torch.from_numpy(sequences.items[start : start + end])
        target = int(sequences.items[start + end])
        own = catalogue.domain_of(sequences.domain[user])
        histories = Histories(history[None], torch.tensor([len(history)]))
        state = model.encode_histories(histories, items).state
        scores = (model.score(Users(state), items)[0] / temperature).tolist()
        for item in set(history.tolist()):
            scores[item] += seen_items.seen.item()
        scores[int(history[-1])] += seen_items.last.item()
        hidden = set(history.tolist()) if mask_history else set()
        if target in hidden:
            ranks.append(np.inf)
            continue
        others = [i for i in range(own.start, own.stop) if i != target and i not in hidden]
        ranks.append(1 + sum(scores[i] > scores[target] for i in others))
    ranks = np.array(ranks)
    metrics = {"mrr": (1 / ranks).mean()}
    for k in KS:
        metrics[f"recall@{k}"] = (ranks <= k).mean()
        metrics[f"ndcg@{k}"] = ((ranks <= k) / np.log2(1 + ranks)).mean()
        metrics[f"mrr@{k}"] = ((ranks <= k) / ranks).mean()
    return metrics


def _named(stage, metrics):
    return {f"{stage}/{name}": value for name, value in metrics.items()}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
@pytest.mark.parametrize("mask_history", [False, True], ids=["", "mask_history"])
def test_evaluation_ranks_as_plain_loops_do(datamodule, make_trainer, kind, transductive, mask_history):
    model = make_model(kind, datamodule.catalogue, item_ids=transductive)
    max_logits = 100 if mask_history else 1 << 25
    module = make_module(model, datamodule.catalogue, mask_history=mask_history, max_logits=max_logits)
    trainer = make_trainer()
    (tested,) = trainer.test(module, datamodule=datamodule, verbose=False)

    def wanted(rows, mask):
        with torch.no_grad():
            return reference(model, module.scorers, datamodule, rows, mask_history=mask)

    rows = datamodule.sequences.test
    expected = {
        **_named("test", wanted(rows, mask_history)),
        **_named("test_history_excluded", wanted(rows, True)),
    }
    assert tested == pytest.approx(expected, abs=1e-6)
    (validated,) = trainer.validate(module, datamodule=datamodule, verbose=False)
    expected = wanted(datamodule.sequences.validation, mask_history)
    assert validated == pytest.approx({f"val/{name}": value for name, value in expected.items()}, abs=1e-6)


def test_rankings_may_have_a_temperature_of_their_own(datamodule, make_trainer):
    model = make_model("missrec", datamodule.catalogue)
    module = make_module(model, datamodule.catalogue, Contrastive(temperature=0.07, eval_temperature=0.5))
    with torch.no_grad():
        module.scorers["seen"].seen.fill_(-3.0)  # beside a bias the temperature changes ranks
    (tested,) = make_trainer().test(module, datamodule=datamodule, verbose=False)
    with torch.no_grad():
        rows = datamodule.sequences.test
        expected = reference(model, module.scorers, datamodule, rows, mask_history=False, temperature=0.5)
        plain = reference(model, module.scorers, datamodule, rows, mask_history=False)
    assert expected != plain
    assert {name: tested[f"test/{name}"] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_training_keeps_its_temperature(datamodule, make_trainer):
    losses = []
    for eval_temperature in (None, 0.5):
        model, loss = make_model("missrec", datamodule.catalogue), Contrastive(eval_temperature=eval_temperature)
        module = make_module(model, datamodule.catalogue, loss)
        trainer = make_trainer(max_epochs=1, limit_val_batches=0)
        trainer.fit(module, datamodule=datamodule)
        losses.append(float(trainer.callback_metrics["train/loss"]))
    assert losses[0] == losses[1]


def test_masking_the_history_changes_the_ranks(datamodule, make_trainer):
    model = make_model("missrec", datamodule.catalogue)
    results = [
        make_trainer().test(
            make_module(model, datamodule.catalogue, mask_history=mask), datamodule=datamodule, verbose=False
        )[0]
        for mask in (False, True)
    ]
    assert results[1]["test/mrr"] > results[0]["test/mrr"]


def test_the_embedded_catalogue_does_not_depend_on_the_chunks(datamodule, monkeypatch):
    module = make_module(make_model("missrec", datamodule.catalogue), datamodule.catalogue)
    module.trainer = type("Trainer", (), {"datamodule": datamodule})()
    whole = module.encode_catalogue()
    monkeypatch.setattr("missrec_pl.modules.training.EMBED_CHUNK", 7)
    chunked = module.encode_catalogue()
    torch.testing.assert_close(chunked.tokens, whole.tokens)
    assert torch.equal(chunked.ids, torch.arange(datamodule.catalogue.num_items + 1))
    assert torch.equal(chunked.is_missing, datamodule.catalogue.is_missing)
    assert torch.equal(chunked.interest, module.model.interests.assignment)


def test_ranking_outside_of_an_evaluation_is_a_bug_with_a_name(datamodule):
    module = make_module(make_model("missrec", datamodule.catalogue), datamodule.catalogue)
    with pytest.raises(RuntimeError, match="needs the encoded catalogue"):
        module.ranks(next(iter(datamodule.test_dataloader())))
