"""Compiled blocks and fused optimisers compute what the plain ones compute."""

import json
from functools import partial

import pytest
import torch
from omegaconf import OmegaConf
from runs import SMALL, run_cli
from torch import nn

from missrec_pl.config.trainer_options import fused_kernel
from missrec_pl.errors import ConfigError
from missrec_pl.nn import DataShape
from missrec_pl.nn.missrec import MISSRec
from missrec_pl.nn.sasrec import SASRec
from missrec_pl.system.compilation import LimitedCompiler, compile_parts, with_fused_kernel

ADAM = partial(torch.optim.Adam, lr=0.01, weight_decay=0.1)


def learned(make):
    """Weights after some steps."""
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 4), torch.randn(9, 6)
    optimizer = make([{"params": [layer.weight]}, {"params": [layer.bias], "lr": 0.1, "weight_decay": 0.0}])
    for _ in range(5):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()
    return optimizer, layer.state_dict()


def test_the_fused_kernel_learns_the_same():
    (plain, expected), (fused, found) = learned(ADAM), learned(with_fused_kernel(ADAM, True))
    assert fused.defaults["fused"] is True
    assert [group["lr"] for group in fused.param_groups] == [group["lr"] for group in plain.param_groups]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("fused", [None, False])
def test_on_cpu_nothing_is_fused_unless_asked_for(fused):
    optimizer, weights = learned(with_fused_kernel(ADAM, fused))
    assert not optimizer.defaults["fused"]
    assert all(torch.equal(weights[name], value) for name, value in learned(ADAM)[1].items())


def test_an_optimiser_without_a_fused_form_stays_as_it_is():
    make = partial(torch.optim.RMSprop, lr=0.01)
    assert with_fused_kernel(make, None) is make


def test_a_mode_reaches_the_compiler():
    given, layer = [], nn.Linear(2, 2)

    def compiled(graph, inputs, **options):
        given.append(options)
        return graph.forward

    torch._dynamo.reset()
    backend = LimitedCompiler(compiler=compiled, mode="reduce-overhead")
    torch.compile(layer, backend=backend)(torch.ones(1, 2))
    assert given == [{"config_patches": {"triton.cudagraphs": True}}]


def test_without_a_compiler_compiling_is_refused(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    model = MISSRec(DataShape(50, {"text": 3}), hidden_size=8)
    with pytest.raises(ConfigError, match=r"compile=true: there is no C\+\+ compiler"):
        compile_parts(model.compiled_parts())


def test_networks_say_what_is_compiled(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: name)
    shape = DataShape(50, {"text": 3})
    missrec, sasrec = MISSRec(shape, hidden_size=8), SASRec(shape, hidden_size=8)
    assert missrec.compiled_parts() == [missrec.encoder, missrec.decoder]
    assert sasrec.compiled_parts() == list(sasrec.blocks)
    compiled = []
    monkeypatch.setattr("torch.nn.Module.compile", lambda part, **options: compiled.append((part, options)))
    for model in (missrec, sasrec):
        compile_parts(model.compiled_parts())
        assert [part for part, _ in compiled] == model.compiled_parts()
        assert all(options["dynamic"] is True for _, options in compiled)
        assert len({id(options["backend"]) for _, options in compiled}) == 1  # one limit for all parts
        compiled.clear()


def test_past_a_number_of_compilations_a_network_goes_on_uncompiled(caplog):
    compiled = []
    backend = LimitedCompiler(2, lambda graph, inputs: compiled.append(graph) or graph.forward)
    torch._dynamo.reset()
    layer = torch.compile(nn.Linear(3, 4), backend=backend, dynamic=False)
    inputs = [torch.randn(size, 3) for size in range(2, 7)]
    found = [layer(x) for x in inputs]
    torch._dynamo.reset()
    for x, y in zip(inputs, found, strict=True):
        torch.testing.assert_close(y, layer._orig_mod(x))
    assert len(compiled) == 2
    (line,) = [one.getMessage() for one in caplog.records if "compile=true" in one.getMessage()]
    assert line.startswith(
        "compile=true: 2 compilations, and there are still new shapes; what follows runs uncompiled"
    )
    found[-1].sum().backward()
    assert layer._orig_mod.weight.grad is not None


@pytest.mark.parametrize(
    ("precision", "clip", "fused", "expected"),
    [("16-mixed", 0.5, None, False), ("16-mixed", None, None, None), ("bf16-mixed", 0.5, True, True)],
)
def test_a_kernel_that_unscales_leaves_nothing_to_clip(precision, clip, fused, expected):
    trainer = {"precision": precision, "gradient_clip_val": clip}
    assert fused_kernel(OmegaConf.create({"trainer": trainer, "optim": {"fused": fused}})) is expected


@pytest.mark.slow
def test_a_compiled_run_has_the_same_scores(tmp_path):
    """And its checkpoint the same names, so that an uncompiled evaluation repeats the test.

    In processes of their own: the shape checks of the tests cannot be compiled.
    """
    scores = []
    for compile_ in ("false", "true"):
        folder = tmp_path / compile_
        run = run_cli(
            "data=synthetic", *SMALL, "model.dropout=0", "trainer.max_epochs=1", "baselines.names=[random]",
            "callbacks.progress=null", f"compile={compile_}", f"paths.cache_dir={tmp_path / 'cache'}",
            f"hydra.run.dir={folder}", timeout=600,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr
        scores.append(json.loads((folder / "results.json").read_text())["metrics"])
    assert scores[1] == pytest.approx(scores[0], abs=0.01)
    checkpoint = tmp_path / "true" / "checkpoints" / "best.ckpt"
    evaluated = run_cli(f"ckpt={checkpoint}", f"hydra.run.dir={tmp_path / 'eval'}", script="eval.py")
    assert evaluated.returncode == 0, evaluated.stderr
    again = json.loads((tmp_path / "eval" / "results.json").read_text())["metrics"]
    assert again["test/mrr"] == pytest.approx(scores[1]["test/mrr"], abs=1e-6)
