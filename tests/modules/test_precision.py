"""Half precision and TF32 are for training; logits, ranks and interests are at least float32."""

import numpy as np
import pytest
import torch
from tiny_runs import MODELS, detach_from_trainer, make_model, make_module, training_batch

from missrec_pl.callbacks import InterestRefresh
from missrec_pl.clustering.methods import RandomTokens
from missrec_pl.data.augmentations import ItemDrop
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.losses import Contrastive
from missrec_pl.system.precision import exact_float32, in_float32, widened

SAMPLES = np.arange(0, 60, 3)
CPU = torch.device("cpu")


@pytest.fixture
def datamodule(synthetic_source):
    datamodule = DomainDataModule([synthetic_source()], batch_size=32, eval_batch_size=10)
    datamodule.setup()
    return datamodule


@pytest.fixture
def high():
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("kind", MODELS)
def test_ranks_do_not_depend_on_the_precision_of_training(datamodule, make_trainer, kind, high):
    tested = []
    for precision in ("32-true", "bf16-mixed"):
        module = make_module(make_model(kind, datamodule.catalogue), datamodule.catalogue)
        tested += make_trainer(precision=precision).test(module, datamodule=datamodule, verbose=False)
    assert tested[0] == tested[1]
    assert 0 < tested[0]["test/mrr"] < 1


@pytest.mark.parametrize(("phase", "whole"), [("finetune", True), ("finetune", False), ("pretrain", False)])
@pytest.mark.parametrize("kind", MODELS)
def test_half_precision_changes_the_loss_by_its_rounding_alone(datamodule, phase, whole, kind):
    objective = Contrastive(temperature=0.3, seq_seq_weight=0.5, augmentation=ItemDrop(0.0))
    is_pretraining = phase == "pretrain"
    options = {"views": is_pretraining, "scorers": () if is_pretraining else ("seen",)}
    batch, losses, gradients = training_batch(datamodule, SAMPLES, whole=whole), [], []
    for is_half in (False, True):
        model = make_model(kind, datamodule.catalogue, item_ids=not is_pretraining)
        module = make_module(model, datamodule.catalogue, objective, **options)
        detach_from_trainer(module, datamodule)
        seen, score = [], model.score
        model.score = lambda *arguments, score=score, seen=seen: seen.append(score(*arguments)) or seen[-1]
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            loss = module.training_step(batch, 0)
        loss.backward()
        assert {scores.dtype for scores in seen} == {torch.float32}
        losses.append(loss.item())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1] != losses[0]  # half precision was at work
    assert torch.cosine_similarity(*gradients, dim=0) > 0.97


def test_interests_are_discovered_in_float32(datamodule, high):
    seen = []

    class Spy(RandomTokens):
        def __call__(self, tokens, num_prototypes, seed):
            seen.append((torch.get_float32_matmul_precision(), torch.is_autocast_enabled("cpu"), tokens.dtype))
            return super().__call__(tokens, num_prototypes, seed)

    module = make_module(make_model("missrec", datamodule.catalogue, method=Spy()), datamodule.catalogue)
    detach_from_trainer(module, datamodule)
    with torch.autocast("cpu", torch.bfloat16):
        InterestRefresh().refresh(module.trainer, module)
        assert torch.is_autocast_enabled("cpu")
    assert seen == [("highest", False, torch.float32)]
    assert torch.get_float32_matmul_precision() == "high"


def test_precision_comes_back_after_an_error(high):
    with pytest.raises(ZeroDivisionError), exact_float32(CPU):
        _ = 1 / 0
    assert torch.get_float32_matmul_precision() == "high"


def test_products_inside_are_those_of_float32():
    x = torch.randn(8, 300, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        assert (x @ x.T).dtype == torch.bfloat16
        with in_float32(CPU):
            inside = x @ x.T
    assert torch.equal(inside, x @ x.T)


def test_widening_leaves_wide_numbers_alone():
    assert widened(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.float32
    double = torch.ones(2, dtype=torch.float64)
    assert widened(double) is double
