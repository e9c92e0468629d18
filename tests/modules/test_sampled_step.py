"""A training step on sampled candidates beside the one on all of them."""

import numpy as np
import pytest
import torch
from tiny_runs import MODELS, detach_from_trainer, make_model, make_module, sampled_batch, training_batch

from missrec_pl.datamodules import DomainDataModule
from missrec_pl.errors import ConfigError

SAMPLES = np.arange(0, 60, 3)


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()])
    datamodule.setup()
    return datamodule


def step(datamodule, kind, batch, **options):
    """Loss and gradients of a fresh network."""
    model = make_model(kind, datamodule.catalogue, item_ids=True)
    module = detach_from_trainer(make_module(model, datamodule.catalogue, **options), datamodule).double()
    loss = module.training_step(batch, 0)
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("max_logits", [1 << 25, 100])
def test_all_items_sampled_is_the_exact_softmax(datamodule, kind, max_logits):
    exact = step(datamodule, kind, training_batch(datamodule, SAMPLES, whole=True))
    batch = sampled_batch(datamodule, SAMPLES, negatives=datamodule.catalogue.num_items)
    assert not batch.items.is_whole
    sampled = step(datamodule, kind, batch, max_logits=max_logits)
    assert exact[0] > 1
    torch.testing.assert_close(sampled, exact, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_sampled_candidates_in_chunks_give_the_same_loss_and_gradients(datamodule, kind):
    batch = sampled_batch(datamodule, SAMPLES, negatives=9)
    whole = step(datamodule, kind, batch)
    torch.testing.assert_close(step(datamodule, kind, batch, max_logits=60), whole, rtol=1e-9, atol=1e-12)


def test_losses_and_gradients_approach_the_exact_ones(datamodule):
    """The mean over draws; more candidates come closer."""
    exact, wanted = step(datamodule, "missrec", training_batch(datamodule, SAMPLES, whole=True))
    errors = {}
    for negatives in (3, 20):
        losses, gradients = [], []
        for seed in range(15):
            loss, found = step(
                datamodule, "missrec", sampled_batch(datamodule, SAMPLES, negatives=negatives, seed=seed)
            )
            losses.append(loss)
            gradients.append(torch.cat([gradient.flatten() for gradient in found.values()]))
        every = torch.cat([gradient.flatten() for gradient in wanted.values()])
        mean = torch.stack(gradients).mean(0)
        errors[negatives] = (
            float((torch.stack(losses).mean() - exact).abs() / exact),
            float((mean - every).norm() / every.norm()),
        )
    assert errors[20][0] < 0.03
    assert errors[20][1] < 0.08
    assert errors[20][0] < errors[3][0] < 0.15
    assert errors[20][1] < errors[3][1] < 0.5


def test_domains_drawn_unevenly_are_refused(synthetic_source):
    uneven = DomainDataModule(
        [synthetic_source(num_domains=2)], candidates="sampled", domain_sampling="temperature"
    )
    with pytest.raises(ConfigError, match=r"over 2 domains it needs data\.domain_sampling=proportional, got temp"):
        uneven.setup()
    DomainDataModule([synthetic_source()], candidates="sampled", domain_sampling="temperature").setup()
