"""Steps of fixed shape, as a GPU has them, compute what steps of free shape compute, and wait for nothing."""

import sys
from types import SimpleNamespace

import pytest
import torch
from runs import ROOT, SMALL

from missrec_pl.callbacks import NanGuard
from missrec_pl.errors import RunError
from missrec_pl.nn.blocks.modalities import DynamicFusion, comparable, mean_directions
from missrec_pl.nn.interests import distinct_interests
from missrec_pl.nn.items import Items
from missrec_pl.nn.scorers.base import ScoredRows
from missrec_pl.system.shapes import are_fixed, fixed_shapes

sys.path.insert(0, str(ROOT / "benchmarks"))
import operations

SIZES = (*SMALL, "model.dropout=0.0", "data.batch_size=64")
MOST = {"fine-tune": 700, "sampled": 700, "tuned": 1200, "pre-train": 1100}  # operations


def test_the_device_chooses():
    assert [are_fixed(torch.device(name)) for name in ("cpu", "cuda", "mps")] == [False, True, True]
    with fixed_shapes():
        assert are_fixed(torch.device("cpu"))
        with fixed_shapes(False):
            assert not are_fixed(torch.device("cuda"))


@pytest.mark.parametrize("phase", MOST)
def test_five_steps_are_the_same_and_wait_for_nothing(phase, tmp_path):
    learned = []
    for fixed in (False, True):
        scene = operations.scene_of(phase, None, str(tmp_path), *SIZES, "phase.module.length_buckets=3")
        scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
        optimizer = torch.optim.SGD(scene.module.parameters(), lr=0.1)
        guard, losses = NanGuard(".", every_n_steps=100), []
        for number, batch in zip(range(5), scene.datamodule.train_dataloader(), strict=False):
            placed = scene.on_device(batch)
            torch.manual_seed(number)
            with fixed_shapes(fixed), operations.Operations() as found:
                losses.append(operations.step_of(scene, placed, guard))
            optimizer.step()
        learned.append((losses, scene.module.state_dict()))
    print(f"{phase}: {found.total} operations, waits {dict(found.waits)}")
    assert not found.waits
    assert not found.copies
    assert found.total <= MOST[phase]
    torch.testing.assert_close(learned[1], learned[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("modalities", [1, 2, 3])
@pytest.mark.parametrize("concentration", [0.0, 3.0, None])
def test_masked_fusion_is_that_of_groups(modalities, concentration):
    torch.manual_seed(0)
    is_missing = torch.rand(40, modalities) < 0.4
    tokens = torch.randn(40, modalities, 5).masked_fill(is_missing[:, :, None], 0.0).requires_grad_()
    user = torch.nn.functional.normalize(torch.randn(7, 5), dim=-1).requires_grad_()
    fusion, prepare = DynamicFusion(concentration), mean_directions if concentration is None else comparable
    found = []
    for fixed in (False, True):
        with fixed_shapes(fixed):
            scores = fusion(user, prepare(tokens, is_missing))
        inputs = [tokens, user, *fusion.parameters()]
        found.append((scores, *torch.autograd.grad((scores * torch.arange(40)).sum(), inputs, allow_unused=True)))
    assert is_missing.all(1).any()
    for free, fixed in zip(*found, strict=True):
        if free is not None or fixed is not None:
            torch.testing.assert_close(fixed, torch.zeros_like(fixed) if free is None else free)


def test_interests_of_full_width_are_the_same():
    interest = torch.randint(0, 6, (9, 12))
    (free, is_free_padding), width = distinct_interests(interest), 12
    with fixed_shapes():
        fixed, is_padding = distinct_interests(interest)
    assert fixed.shape == is_padding.shape == (9, width)
    for row in range(9):
        assert torch.equal(fixed[row][~is_padding[row]], free[row][~is_free_padding[row]])
    assert not fixed[is_padding].any()


def test_candidates_that_repeat_have_one_column():
    ids = torch.tensor([7, 3, 7, 9, 3])
    rows = ScoredRows(torch.tensor([[3, 9, 4]]), torch.tensor([3]), ids)
    with fixed_shapes():
        column, _ = rows.find(ids)
        scores = torch.zeros(1, rows.num_columns).scatter(1, column[None], ids[None].float())
        assert rows.of_candidates(scores).tolist() == [ids.tolist()]
        assert rows.met[1].tolist() == [[True, True, False]]
        assert rows.first is None


def test_items_say_what_their_ids_are():
    items = Items(torch.zeros(6, 2), torch.arange(6), first=0, is_rising=True)
    assert (items.span(1).first, items.span(1).span(2, 4).first) == (1, 3)
    assert items.span(1).is_rising
    taken = items.take(torch.tensor([2, 1]))
    assert taken.first is None
    assert not taken.is_rising


def test_the_catalogue_of_an_evaluation_says_what_its_ids_are(tmp_path):
    scene = operations.scene_of("fine-tune", None, str(tmp_path), *SIZES)
    with torch.no_grad():
        items = scene.module.encode_catalogue()
    assert (items.first, items.is_rising) == (0, True)
    assert torch.equal(items.ids, torch.arange(len(items.ids)))


def test_a_guard_that_looks_now_and_then_ends_the_run_and_saves_nothing(monkeypatch):
    monkeypatch.setattr(NanGuard, "_report", lambda self, trainer, wrong: f"{wrong} are broken")
    trainer = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=None))
    module, guard = torch.nn.Linear(1, 1), NanGuard(".", every_n_steps=3)

    def step(value):
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, value)
        guard.on_before_optimizer_step(trainer, module, None)

    step(1.0)
    guard.on_save_checkpoint(trainer, module, {})
    step(float("nan"))
    with pytest.raises(RunError):
        guard.on_save_checkpoint(trainer, module, {})
    with pytest.raises(RunError, match="weight"):
        step(float("nan"))
    for _ in range(4):
        step(1.0)
