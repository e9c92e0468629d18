import numpy as np
import pytest
import torch
from tiny_runs import MODELS, detach_from_trainer, make_model, make_module, training_batch

from missrec_pl.data.augmentations import FeatureDropout, ItemDrop
from missrec_pl.data.batch import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import make_split
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment.attach import attach_evidence
from missrec_pl.losses import Objective, next_item, seq_item, seq_seq
from missrec_pl.nn.encoding import GroupedUsers
from missrec_pl.nn.scorers import ScoredRows

SAMPLES = np.arange(0, 60, 3)
TERMS = {"cooccurrence": "learned", "content": "learned", "collaborative": 4}


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()], user_folds=3)
    datamodule.setup()
    return datamodule


def silent_parameters(module):
    return {name for name, p in module.model.named_parameters() if p.grad is None or p.grad.abs().max() == 0}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
@pytest.mark.parametrize("whole", [True, False], ids=["all", "in_batch"])
def test_finetuning_trains_every_parameter(datamodule, kind, transductive, whole):
    model = make_model(kind, datamodule.catalogue, transductive=transductive, **TERMS)
    attach_evidence(model, datamodule)
    module = detach_from_trainer(make_module("finetune", model), datamodule)
    module.training_step(training_batch(datamodule, SAMPLES, whole=whole), 0).backward()
    assert silent_parameters(module) == set()
    if transductive:
        assert model.id_embedding.weight.grad[0].abs().max() == 0


@pytest.mark.parametrize("kind", MODELS)
def test_pretraining_trains_every_parameter(datamodule, kind):
    objective = Objective(seq_seq_weight=0.5, augmentation=ItemDrop(0.5))
    model = make_model(kind, datamodule.catalogue)
    module = detach_from_trainer(make_module("pretrain", model, objective), datamodule)
    module.training_step(training_batch(datamodule, SAMPLES, whole=False), 0).backward()
    assert silent_parameters(module) == set()


def test_the_finetuning_loss_is_eq_8(datamodule):
    objective = Objective(temperature=0.2, orthogonality_weight=0.3)
    model = make_model("missrec", datamodule.catalogue)
    module = detach_from_trainer(make_module("finetune", model, objective, length_buckets=1), datamodule)
    batch = training_batch(datamodule, SAMPLES, whole=True)
    loss = module.training_step(batch, 0)
    table = batch.items
    items = model.embed_items(table.features, table.rows, table.is_missing, table.ids)
    users = model.encode_users(batch.history, batch.length, items)
    logits = model.score(users.state, items.without_padding()) / 0.2
    logits = logits + model.history_bias(ScoredRows(batch.history, batch.length, torch.arange(1, 31)))
    expected = (
        next_item(logits, batch.target - 1).mean() + 0.3 * module.orthogonality(GroupedUsers([users])).mean()
    )
    torch.testing.assert_close(loss, expected)
    assert set(module.losses) == {"loss", "next_item", "orthogonality"}


def test_the_pretraining_loss_is_eq_7(datamodule):
    objective = Objective(
        temperature=0.2, orthogonality_weight=0.3, seq_seq_weight=0.4, augmentation=FeatureDropout(0.0)
    )
    model = make_model("missrec", datamodule.catalogue, history_bias="none")
    module = detach_from_trainer(make_module("pretrain", model, objective, length_buckets=1), datamodule)
    batch = training_batch(datamodule, SAMPLES, whole=False)
    loss = module.training_step(batch, 0)
    table, own = batch.items, torch.arange(len(batch))
    items = model.embed_items(table.features, table.rows, table.is_missing, table.ids)
    users = model.encode_users(batch.history, batch.length, items)
    logits = model.score(users.state, items.take(batch.target)) / 0.2
    target_ids = table.ids[batch.target]
    assert len(set(target_ids.tolist())) < len(target_ids)  # the batch has duplicates to mask
    expected = (
        seq_item(logits, own, target_ids, target_ids)
        + 0.3 * module.orthogonality(GroupedUsers([users]))
        + 0.4 * seq_seq(users.state, users.state, users.state, own, 0.2)
    )
    torch.testing.assert_close(loss, expected.mean())
    assert set(module.losses) == {"loss", "seq_item", "seq_seq", "orthogonality"}


@pytest.mark.parametrize("options", [{"augmentation": None}, {"augmentation": ItemDrop(), "seq_seq_weight": 0.0}])
def test_without_a_second_view_one_view_is_encoded(datamodule, options):
    module = make_module("pretrain", make_model("missrec", datamodule.catalogue), Objective(**options))
    detach_from_trainer(module, datamodule)
    calls, encode = [], module.encode
    module.encode = lambda *arguments: calls.append(arguments) or encode(*arguments)
    module.training_step(training_batch(datamodule, SAMPLES, whole=False), 0)
    assert len(calls) == 1
    assert "seq_seq" not in module.losses


def test_candidates_are_never_augmented(datamodule):
    """With every feature of the views dropped the candidates keep theirs: adapters' weights still learn."""
    objective = Objective(augmentation=FeatureDropout(1.0))
    module = make_module("pretrain", make_model("missrec", datamodule.catalogue), objective)
    detach_from_trainer(module, datamodule)
    module.training_step(training_batch(datamodule, SAMPLES, whole=False), 0).backward()
    assert module.model.adapters.linear["text"].weight.grad.abs().max() > 0


def test_in_batch_candidates_stay_in_batch_even_if_the_batch_holds_every_item(memory_domain):
    """Whether all items are candidates must not depend on a batch's luck: processes would part ways."""
    domain = memory_domain("few", features={"text": torch.randn(5, 3).tolist()}, sequences=[[1, 2, 3, 4, 5, 1, 2]])
    datamodule = DomainDataModule([], modalities=["text"])
    datamodule._catalogue = Catalogue([domain], ["text"])
    datamodule.sequences = GlobalSequences(datamodule.catalogue, [make_split(domain.sequences, "train_only")])
    model = make_model("missrec", datamodule.catalogue)
    module = detach_from_trainer(make_module("finetune", model), datamodule)
    candidates, score = [], model.score
    model.score = lambda state, items: candidates.append(items.ids.tolist()) or score(state, items)
    for whole in (False, True):
        batch = training_batch(datamodule, np.arange(4), whole=whole)
        assert batch.items.ids.tolist() == [0, 1, 2, 3, 4, 5]
        module.training_step(batch, 0)
    assert candidates == [[2, 3, 4, 5], [1, 2, 3, 4, 5]]


def test_the_score_terms_have_their_own_rate(datamodule):
    model = make_model("missrec", datamodule.catalogue)
    model.encoder.requires_grad_(False)
    groups = make_module("finetune", model, score_term_lr=0.25).configure_optimizers().param_groups
    network, terms = groups
    assert {id(p) for p in terms["params"]} == {id(p) for p in model.history_bias.parameters()}
    assert (terms["lr"], terms["weight_decay"], network["lr"]) == (0.25, 0.0, 1e-2)
    trained = {id(p) for p in model.parameters() if p.requires_grad} - {id(p) for p in terms["params"]}
    assert {id(p) for p in network["params"]} == trained
    plain = make_module("finetune", make_model("missrec", datamodule.catalogue, history_bias="none"))
    assert len(plain.configure_optimizers().param_groups) == 1


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("max_logits", [20, 100, 333])
def test_a_catalogue_in_chunks_gives_the_same_loss_and_gradients(datamodule, kind, max_logits):
    batch = training_batch(datamodule, SAMPLES, whole=True)
    results = []
    for limit in (1 << 25, max_logits):
        model = make_model(kind, datamodule.catalogue, transductive=True, **TERMS)
        attach_evidence(model, datamodule)
        module = detach_from_trainer(make_module("finetune", model, max_logits=limit), datamodule).double()
        loss = module.training_step(batch, 0)
        loss.backward()
        results.append((loss.detach(), {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(results[1], results[0], rtol=1e-9, atol=1e-12)
