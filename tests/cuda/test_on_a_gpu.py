"""What needs a GPU: the same numbers as on CPU, no waiting inside a step, CUDA graphs, NCCL."""

import argparse
import sys
from types import SimpleNamespace

import pytest
import torch
from runs import ROOT, SMALL

sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu_parts
import operations

from missrec_pl.callbacks import NanGuard

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: torch sees none here"),
]


@pytest.mark.parametrize("part", ["dpc-knn", "steps", "processes"])
def test_the_suite_finds_it_right(part, tmp_path):
    options = argparse.Namespace(device="cuda", rehearse=True, cache=str(tmp_path), scale=0.001)
    rows = gpu_parts.PARTS[part].run(options)
    assert rows
    assert all(row["ok"] for row in rows), rows


@pytest.mark.parametrize("phase", operations.PHASES)
def test_a_step_does_not_wait(phase, tmp_path):
    scene = operations.scene_of(phase, None, str(tmp_path), *SMALL, "data.batch_size=64", device="cuda")
    scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
    loader, guard = iter(scene.datamodule.train_dataloader()), NanGuard(".", every_n_steps=100)
    operations.step_of(scene, scene.next_batch(loader), guard)
    batch = scene.next_batch(loader)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        loss = operations.step_of(scene, batch, guard)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert loss.isfinite()


@pytest.mark.parametrize("how", ["true", "reduce-overhead"])
def test_compiled_steps_compute_the_same(how, tmp_path):
    losses = []
    for compiled in ("false", how):
        more = (*SMALL, "model.dropout=0.0", "data.batch_size=64", f"compile={compiled}")
        scene = operations.scene_of("fine-tune", None, str(tmp_path), *more, device="cuda")
        scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
        guard, batches = NanGuard("."), scene.datamodule.train_dataloader()
        losses.append(
            [
                operations.step_of(scene, scene.on_device(one), guard)
                for _, one in zip(range(5), batches, strict=False)
            ]
        )
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-4, atol=1e-4)
