"""What a GPU would see of a step, checked without one: no shape hangs on values, few launches and compilations."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from runs import ROOT, SMALL
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode

from missrec_pl.callbacks import NanGuard
from missrec_pl.data.plans import padded_size
from missrec_pl.system.shapes import fixed_shapes

sys.path.insert(0, str(ROOT / "benchmarks"))
import operations
from test_fixed_shapes import MOST

SIZES = (*SMALL, "data.batch_size=64")
STEPS = {
    "missrec": ("fine-tune", "model=missrec", "setting=transductive"),
    "missrec_released": ("fine-tune",),
    "contextual": ("fine-tune", "model.sequence_fusion=contextual"),
    "tuned": ("tuned",),
    "sampled": ("sampled",),
    "pretrain": ("pre-train",),
    "pretrain of missrec": ("pre-train", "model=missrec", "objective=missrec"),
}
QUICK = ("missrec", "tuned", "pretrain")


def scene_of(name, cache, *more):
    phase, *overrides = STEPS[name]
    scene = operations.scene_of(phase, None, str(cache), *overrides, *more)
    scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
    return scene


def made_fake(module, mode):
    """The module's own weights and buffers, replaced by such without values."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None:
                part._parameters[name] = torch.nn.Parameter(
                    mode.from_tensor(weight.detach()), weight.requires_grad
                )
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = mode.from_tensor(buffer)
    for mean in module.epoch_means.values():
        mean.total, mean.rows = mode.from_tensor(mean.total), mode.from_tensor(mean.rows)


def fake_step(scene):
    """Loss and operations of a step whose tensors have shapes alone."""
    guard, loader = NanGuard(".", every_n_steps=100), iter(scene.datamodule.train_dataloader())
    operations.step_of(scene, scene.next_batch(loader), guard)  # what is done once, is done
    batch, mode = scene.next_batch(loader), FakeTensorMode()
    scene.module.zero_grad()
    made_fake(scene.module, mode)
    batch = batch.apply(mode.from_tensor)
    with mode, operations.Operations() as found:
        loss = operations.step_of(scene, batch, NanGuard(".", every_n_steps=100))
    return loss, found


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in STEPS]
)
def test_no_shape_of_a_step_hangs_on_values(name, tmp_path):
    with fixed_shapes():
        scene = scene_of(name, tmp_path, *SIZES)
        loss, found = fake_step(scene)
    assert loss.shape == ()
    assert all(weight.grad is not None for weight in scene.model.encoder.parameters())
    assert not found.waits
    assert not found.copies


def test_where_shapes_are_free_the_fake_step_says_so(tmp_path):
    with fixed_shapes(False), pytest.raises((DataDependentOutputException, DynamicOutputShapeException)):
        fake_step(scene_of("missrec_released", tmp_path, *SIZES))


@pytest.mark.slow
@pytest.mark.parametrize("phase", MOST)
def test_a_step_takes_few_operations(phase):
    if (data := operations.data_folder()) is None:
        pytest.skip(f"{operations.NAME} is not here")
    import tempfile

    with tempfile.TemporaryDirectory() as cache:
        found = operations.counted(operations.scene_of(phase, data, cache))
    assert found.total <= MOST[phase]
    assert not found.waits
    assert not found.copies


@pytest.mark.slow
def test_twenty_batches_compile_each_part_at_most_twice():
    # A process of its own: the shape checks of the tests cannot be traced.
    command = [sys.executable, str(ROOT / "benchmarks" / "operations.py"), "--compile"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for phase in MOST:
        counts = json.loads(done.stdout.partition(f"{phase}: graphs of each part ")[2].splitlines()[0])
        assert all(0 < count <= 2 for count in counts), done.stdout
    assert "1 shapes" not in done.stdout.splitlines()


@pytest.mark.parametrize("count", [0, 1, 3, 8, 9, 100, 1000, 12345, 2**20 + 1])
def test_few_sizes_at_most_a_quarter_above(count):
    size = padded_size(count)
    assert count <= size <= 1.25 * count
    assert padded_size(size) == size
    assert len({padded_size(one) for one in range(1, 4097)}) < 50
