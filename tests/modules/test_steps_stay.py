"""Five training steps stay what they were before steps had fixed shapes, to 1e-5: losses, and every gradient.

The arrays of `tests/golden_steps` are of the mathematics before; `python tests/modules/test_steps_stay.py
FOLDER` writes such arrays of the code at hand.
"""

import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from runs import ROOT, SMALL

from missrec_pl.callbacks import NanGuard
from missrec_pl.system.shapes import fixed_shapes

sys.path.insert(0, str(ROOT / "benchmarks"))
import operations

SIZES = (*SMALL, "model.dropout=0.0", "data.batch_size=64", "phase.module.length_buckets=3")
CASES = {
    "fine-tune": ("fine-tune",),
    "sampled": ("sampled",),
    "tuned": ("tuned",),
    "pre-train": ("pre-train",),
    "missrec": ("fine-tune", "model=missrec", "setting=transductive"),
    "missrec-pre-train": ("pre-train", "model=missrec", "objective=missrec"),
    "released-ids": ("fine-tune", "setting=transductive", "model.sequence_fusion=contextual"),
}


def five_steps(case, cache, *, fixed):
    """Losses ``[5]``, and for each step and weight the gradient's norm and its product with a fixed direction."""
    phase, *more = CASES[case]
    scene = operations.scene_of(phase, None, str(cache), *more, *SIZES)
    scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
    optimizer = torch.optim.SGD(scene.module.parameters(), lr=0.1)
    found = {"loss": []}
    for number, batch in zip(range(5), scene.datamodule.train_dataloader(), strict=False):
        placed = scene.on_device(batch)
        torch.manual_seed(number)
        with fixed_shapes(fixed):
            found["loss"].append(operations.step_of(scene, placed, NanGuard(".")).item())
        for name, weight in scene.module.named_parameters():
            if weight.grad is not None:
                direction = torch.cos(torch.arange(weight.numel()).double()).view_as(weight)
                sums = (weight.grad.double().norm(), (weight.grad.double() * direction).sum())
                found.setdefault(name, []).append([one.item() for one in sums])
        optimizer.step()
    return {name: np.array(values) for name, values in found.items()}


QUICK = (("missrec-pre-train", True), ("fine-tune", False))


@pytest.mark.parametrize(
    ("case", "fixed"),
    [
        pytest.param(case, fixed, marks=() if (case, fixed) in QUICK else pytest.mark.slow)
        for case in CASES
        for fixed in (False, True)
    ],
)
def test_losses_and_gradients_stay(case, fixed, tmp_path):
    stored = np.load(ROOT / "tests" / "golden_steps" / f"{case}.npz")
    found = five_steps(case, tmp_path, fixed=fixed)
    assert set(found) == set(stored.files)
    scale = max(np.abs(stored[name]).max() for name in stored.files if name != "loss")
    for name in stored.files:
        np.testing.assert_allclose(found[name], stored[name], rtol=1e-5, atol=1e-5 * scale, err_msg=name)


if __name__ == "__main__":
    for case in CASES:
        with tempfile.TemporaryDirectory() as cache:
            np.savez_compressed(Path(sys.argv[1]) / f"{case}.npz", **five_steps(case, cache, fixed=False))
