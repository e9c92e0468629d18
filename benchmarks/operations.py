"""How many operations a training step dispatches, and how many of them a GPU would have to wait for.

    python benchmarks/operations.py --data DIR          # DIR holds Scientific_mm_subset; without it generated data
    python benchmarks/operations.py --compile           # graphs of 20 batches with compile=true

Forward, loss, backward, and the callbacks that every run has; not the optimiser. Shapes are fixed as on a GPU
(`--free`: as on CPU, one group of lengths). There each operation is a launch of a kernel or a few (5 us and more),
and each wait lets the device run dry.
"""

import argparse
import os
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from scene import Scene
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from missrec_pl.callbacks import NanGuard
from missrec_pl.system.compilation import LimitedCompiler
from missrec_pl.system.shapes import fixed_shapes

NAME = "Scientific_mm_subset"
PHASES = {
    "fine-tune": ("phase=finetune",),
    "sampled": ("phase=finetune", "data.candidates=sampled", "data.num_negatives=512"),
    "tuned": ("experiment=tuned",),
    "pre-train": ("phase=pretrain",),
}
_WAITS = {
    *("_local_scalar_dense", "is_nonzero", "item", "nonzero", "masked_select", "equal", "bincount", "_unique2"),
    *("unique_dim", "unique_consecutive", "unique_dim_consecutive"),
}


class Operations(TorchDispatchMode):
    """Counts what is dispatched inside; ``waits`` says where the program would wait for a device.

    ``copies`` counts what comes from the host, or goes there: a tensor that is on no other device shows it nowhere
    else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.copies: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.counts[name] += 1
        is_open = name == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        is_masked = name in ("index", "index_put", "index_put_", "_index_put_impl_") and any(
            isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in _WAITS or is_open or is_masked:
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))

    def __enter__(self) -> "Operations":
        self._patches = [
            *(_counting(Tensor, name, self.waits) for name in ("tolist",)),
            *(_counting(Tensor, name, self.copies) for name in ("cpu", "numpy", "cuda")),
            *(_counting(torch, name, self.copies) for name in ("tensor", "as_tensor", "from_numpy")),
        ]
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        for owner, name, original in self._patches:
            setattr(owner, name, original)
        super().__exit__(*error)

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.counts.values())


def _counting(owner: Any, name: str, counter: Counter[str]) -> tuple[Any, str, Any]:
    """Replace a function by one that counts its calls; what puts the original back."""
    original = getattr(owner, name)

    def counted(*args: Any, **kwargs: Any) -> Any:
        counter[name] += 1
        return original(*args, **kwargs)

    setattr(owner, name, counted)
    return owner, name, original


def scene_of(phase: str, data: Path | None, cache: str, *more: str, device: str = "cpu") -> Scene:
    """A phase on the real data, or on generated data where there is none."""
    place = (
        ("data=released", f"data.name={NAME}", f"paths.data_dir={data}")
        if data is not None
        else ("data=synthetic",)
    )
    overrides = (*place, *PHASES[phase], f"paths.cache_dir={cache}", "+phase.module.length_buckets=1", *more)
    scene = Scene(*overrides, device=device)
    scene.module.train()
    scene.datamodule.planners = scene.module.scorers.planners()
    del scene.module.__dict__["log_losses"]  # a run logs
    scene.module.log = lambda *_, **__: None
    return scene


def step_of(scene: Scene, batch: Any, guard: NanGuard) -> Tensor:
    """Forward, loss and backward of a batch, with what callbacks do."""
    scene.module.zero_grad()
    trainer: Any = scene.trainer
    guard.on_train_batch_start(trainer, scene.module, batch, 0)
    loss = scene.module.training_step(batch, 0)
    guard.on_before_backward(trainer, scene.module, loss)
    loss.backward()
    guard.on_before_optimizer_step(trainer, scene.module, None)  # type: ignore[arg-type]
    return loss.detach()


def counted(scene: Scene, fixed: bool = True) -> Operations:
    """The operations of the second step, on a batch that is on the device; with shapes as on a GPU."""
    with fixed_shapes(fixed):
        return _counted(scene)


def _counted(scene: Scene) -> Operations:
    scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
    guard, loader = NanGuard("."), iter(scene.datamodule.train_dataloader())
    step_of(scene, scene.next_batch(loader), guard)
    batch = scene.next_batch(loader)
    with Operations() as found:
        step_of(scene, batch, guard)
    return found


def compilations(scene: Scene, batches: int = 20) -> list[int]:
    """How many graphs each compiled part takes for some batches of an epoch; traced, not compiled any further."""
    parts = scene.model.compiled_parts()
    compilers = [LimitedCompiler(compiler=lambda graph, _: graph.forward) for _ in parts]
    for part, compiler in zip(parts, compilers, strict=True):
        part.compile(dynamic=True, backend=compiler)
    scene.trainer.precision_plugin = SimpleNamespace(scaler=None)
    guard, widths = NanGuard("."), set()
    with fixed_shapes():
        for _, batch in zip(range(batches), scene.datamodule.train_dataloader(), strict=False):
            widths.add(batch.history.shape)
            step_of(scene, scene.on_device(batch), guard)
    print(f"{len(widths)} shapes of batches", flush=True)
    return [compiler.count for compiler in compilers]


def data_folder() -> Path | None:
    """The folder that holds the real data, if it is here."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    for folder in (os.environ.get("MISSREC_DATA_DIR"), os.environ.get("MISSREC_SHARED_DATA"), default):
        for place in (Path(folder), Path(folder, "released")) if folder else ():
            if (place / NAME).is_dir():
                return place
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder that holds the data")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--free", action="store_true", help="shapes that depend on the data, as on CPU")
    parser.add_argument("--most", type=int, default=0, help="also list so many operations of each phase")
    parser.add_argument("--compile", action="store_true", help="count the graphs of 20 batches instead")
    options = parser.parse_args()
    if options.compile:
        with tempfile.TemporaryDirectory() as cache:
            for phase in options.phases:
                scene = scene_of(phase, options.data, cache, "data.batch_size=64")
                print(f"{phase}: graphs of each part {compilations(scene)}", flush=True)
        return
    print(f"{'step':<12}{'operations':>12}{'waits':>8}")
    with tempfile.TemporaryDirectory() as cache:
        for phase in options.phases:
            found = counted(scene_of(phase, options.data, cache), not options.free)
            print(f"{phase:<12}{found.total:>12}{sum(found.waits.values()):>8}  {dict(found.waits)}", flush=True)
            for name, count in found.counts.most_common(options.most):
                print(f"{'':<14}{name:<40}{count:>6}")


if __name__ == "__main__":
    main()
