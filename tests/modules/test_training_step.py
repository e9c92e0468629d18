import numpy as np
import pytest
import torch
from tiny_runs import MODELS, detach_from_trainer, fit_once, make_model, make_module, training_batch

from missrec_pl.data.augmentations import FeatureDropout, ItemDrop
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import make_split
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Contrastive
from missrec_pl.losses.contrast import orthogonality, seq_seq
from missrec_pl.losses.step import next_item
from missrec_pl.nn import Histories, ItemInputs, Users

SAMPLES = np.arange(0, 60, 3)
ALL_SCORERS = ("seen", "cooccurrence", "content")


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()], num_folds=3)
    datamodule.setup()
    return datamodule


def silent_parameters(module):
    return {name for name, p in module.named_parameters() if p.grad is None or p.grad.abs().max() == 0}


def pretraining(datamodule, loss, kind="missrec", **options):
    """A module that pre-trains, detached from any trainer."""
    model = make_model(kind, datamodule.catalogue)
    module = make_module(model, datamodule.catalogue, loss, scorers=(), views=True, **options)
    return detach_from_trainer(module, datamodule)


def kept_apart(users: Users) -> torch.Tensor:
    return orthogonality(users.extra["interests"], users.extra["is_interest_padding"])


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("transductive", [False, True], ids=["inductive", "transductive"])
@pytest.mark.parametrize("whole", [True, False], ids=["all", "in_batch"])
def test_finetuning_trains_every_parameter(datamodule, kind, transductive, whole):
    model = make_model(kind, datamodule.catalogue, item_ids=transductive, collaborative=4)
    module = detach_from_trainer(make_module(model, datamodule.catalogue, scorers=ALL_SCORERS), datamodule)
    fit_once(module, datamodule)
    module.training_step(training_batch(datamodule, SAMPLES, whole=whole), 0).backward()
    assert silent_parameters(module) == set()
    if transductive:
        assert model.id_embedding.weight.grad[0].abs().max() == 0


@pytest.mark.parametrize("kind", MODELS)
def test_pretraining_trains_every_parameter(datamodule, kind):
    module = pretraining(datamodule, Contrastive(seq_seq_weight=0.5, augmentation=ItemDrop(0.5)), kind)
    module.training_step(training_batch(datamodule, SAMPLES, whole=False), 0).backward()
    assert silent_parameters(module) == set()


def test_the_finetuning_loss_is_eq_8(datamodule):
    loss = Contrastive(temperature=0.2, orthogonality_weight=0.3)
    model = make_model("missrec", datamodule.catalogue)
    module = detach_from_trainer(make_module(model, datamodule.catalogue, loss, length_buckets=1), datamodule)
    batch = training_batch(datamodule, SAMPLES, whole=True)
    loss = module.training_step(batch, 0)
    histories, items = Histories(batch.history, batch.length), model.encode_items(ItemInputs(batch.items))
    users = model.encode_histories(histories, items)
    logits = model.score(users, items.span(1)) / 0.2
    logits = logits + module.scorers["seen"](histories, items, items.span(1))
    expected = next_item(logits, batch.target - 1).mean() + 0.3 * kept_apart(users).mean()
    torch.testing.assert_close(loss, expected)
    assert set(module.losses) == {"loss", "next_item", "orthogonality"}


def test_the_pretraining_loss_is_eq_7(datamodule):
    views = FeatureDropout(0.0)
    loss = Contrastive(temperature=0.2, orthogonality_weight=0.3, seq_seq_weight=0.4, augmentation=views)
    module = pretraining(datamodule, loss, length_buckets=1)
    model = module.model
    batch = training_batch(datamodule, SAMPLES, whole=False)
    loss = module.training_step(batch, 0)
    own = torch.arange(len(batch))
    items = model.encode_items(ItemInputs(batch.items))
    users = model.encode_histories(Histories(batch.history, batch.length), items)
    logits = model.score(users, items.take(batch.target)) / 0.2
    target_ids = batch.items.ids[batch.target]
    assert len(set(target_ids.tolist())) < len(target_ids)  # the batch has duplicates to mask
    is_copy = (target_ids[:, None] == target_ids) & ~torch.eye(len(batch), dtype=torch.bool)
    expected = (
        next_item(logits.masked_fill(is_copy, float("-inf")), own)
        + 0.3 * kept_apart(users)
        + 0.4 * seq_seq(users.state, users.state, users.state, own, 0.2)
    )
    torch.testing.assert_close(loss, expected.mean())
    assert set(module.losses) == {"loss", "seq_item", "seq_seq", "orthogonality"}


@pytest.mark.parametrize("options", [{"augmentation": None}, {"augmentation": ItemDrop(), "seq_seq_weight": 0.0}])
def test_without_a_second_view_one_view_is_encoded(datamodule, options):
    module = pretraining(datamodule, Contrastive(**options))
    calls, encode = [], module.encode
    module.encode = lambda *arguments, **options: calls.append(arguments) or encode(*arguments, **options)
    module.training_step(training_batch(datamodule, SAMPLES, whole=False), 0)
    assert len(calls) == 1
    assert "seq_seq" not in module.losses


def test_candidates_are_never_augmented(datamodule):
    """With every feature of the views dropped the candidates keep theirs: adapters' weights still learn."""
    module = pretraining(datamodule, Contrastive(augmentation=FeatureDropout(1.0)))
    module.training_step(training_batch(datamodule, SAMPLES, whole=False), 0).backward()
    assert module.model.item_adapters.linear["text"].weight.grad.abs().max() > 0


def test_in_batch_candidates_stay_in_batch_even_if_the_batch_holds_every_item(memory_domain):
    """Whether all items are candidates must not depend on a batch's luck: processes would part ways."""
    domain = memory_domain("few", features={"text": torch.randn(6, 3).tolist()}, sequences=[[*range(1, 7), 1, 2]])
    datamodule = DomainDataModule([], modalities=["text"])
    datamodule._catalogue = Catalogue([domain], ["text"])
    datamodule.sequences = GlobalSequences(datamodule.catalogue, [make_split(domain.sequences, "train_only")])
    model = make_model("missrec", datamodule.catalogue)
    module = detach_from_trainer(make_module(model, datamodule.catalogue), datamodule)
    candidates, score = [], model.score
    model.score = lambda users, items: candidates.append(items.ids.tolist()) or score(users, items)
    for whole in (False, True):
        batch = training_batch(datamodule, np.arange(5), whole=whole)
        assert batch.items.ids.tolist() == [0, 1, 2, 3, 4, 5, 6]
        module.training_step(batch, 0)
    assert candidates == [[2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]]


def test_the_scorers_have_their_own_rate(datamodule):
    model = make_model("missrec", datamodule.catalogue)
    model.encoder.requires_grad_(False)
    module = make_module(model, datamodule.catalogue, scorer_lr=0.25)
    network, scorers = module.configure_optimizers().param_groups
    assert {id(p) for p in scorers["params"]} == {id(p) for p in module.scorers["seen"].parameters()}
    assert (scorers["lr"], scorers["weight_decay"], network["lr"]) == (0.25, 0.0, 1e-2)
    assert {id(p) for p in network["params"]} == {id(p) for p in model.parameters() if p.requires_grad}
    plain = make_module(make_model("missrec", datamodule.catalogue), datamodule.catalogue, scorers=())
    assert len(plain.configure_optimizers().param_groups) == 1


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("max_logits", [20, 100, 333])
def test_a_catalogue_in_chunks_gives_the_same_loss_and_gradients(datamodule, kind, max_logits):
    batch = training_batch(datamodule, SAMPLES, whole=True)
    results = []
    for limit in (1 << 25, max_logits):
        model = make_model(kind, datamodule.catalogue, item_ids=True, collaborative=4)
        module = make_module(model, datamodule.catalogue, scorers=ALL_SCORERS, max_logits=limit)
        detach_from_trainer(module, datamodule)
        fit_once(module, datamodule)
        module.double()
        loss = module.training_step(batch, 0)
        loss.backward()
        results.append((loss.detach(), {name: p.grad for name, p in module.named_parameters()}))
    torch.testing.assert_close(results[1], results[0], rtol=1e-9, atol=1e-12)
