"""The compiler and the cache of KeOps, accelerators, disk, data folders, W&B."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from missrec_pl.clustering.backends import keops
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import MANIFEST
from missrec_pl.doctor.findings import OK, PROBLEM, WARNING, Finding
from missrec_pl.errors import DataError

_SMALL_GB = 2.0


def check_keops() -> Iterator[Finding]:
    """Whether KeOps can compile its formulas, and where it keeps them."""
    reason = keops.missing_compiler()
    if reason:
        remedy = "install g++, or use interest.method.backend=tiled"
        yield Finding(WARNING, "keops", reason, remedy)
    else:
        yield Finding(OK, "keops", f"compiler {os.environ.get('CXX', 'g++')}")
    cache = Path(os.environ.get("KEOPS_CACHE_FOLDER", Path.home() / ".cache"))
    if not _is_writable(cache):
        remedy = "export KEOPS_CACHE_FOLDER=<a folder that can be written>"
        yield Finding(WARNING, "keops cache", f"{cache} cannot be written", remedy)


def check_accelerator() -> Iterator[Finding]:
    """CUDA and NCCL as torch sees them."""
    import torch

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        text = f"torch {torch.__version__} ({built}) sees no GPU"
        if torch.version.cuda and shutil.which("nvidia-smi"):
            yield Finding(
                PROBLEM, "cuda", text, "nvidia-smi is here: compare the driver with torch's CUDA version"
            )
        else:
            yield Finding(OK, "cuda", f"{text}: trainer=cpu")
        return
    names = {torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    yield Finding(OK, "cuda", f"{torch.cuda.device_count()} GPUs: {', '.join(sorted(names))}")
    if torch.cuda.device_count() > 1 and not torch.distributed.is_nccl_available():
        yield Finding(PROBLEM, "nccl", "torch has no NCCL", "install torch's CUDA build for Linux")


def check_disk(folders: list[Path]) -> Iterator[Finding]:
    """Free space where runs and caches are written."""
    for folder in folders:
        place = _nearest(folder)
        free = shutil.disk_usage(place).free / 1e9
        if not _is_writable(folder):
            yield Finding(PROBLEM, "disk", f"{folder} cannot be written", "choose another folder, or its rights")
        elif free < _SMALL_GB:
            yield Finding(
                WARNING, "disk", f"{free:.1f} GB free at {folder}", "make room: a checkpoint is written aside"
            )
        else:
            yield Finding(OK, "disk", f"{free:.0f} GB free at {folder}")


def check_data(folder: Path) -> Iterator[Finding]:
    """The data sets below ``paths.data_dir``, opened but not read in full."""
    if not folder.is_dir():
        remedy = "set MISSREC_DATA_DIR or paths.data_dir; data=groceries and data=synthetic need none"
        yield Finding(WARNING, "data", f"{folder} does not exist", remedy)
        return
    for inner in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        if (inner / MANIFEST).is_file():
            try:
                yield Finding(OK, "data", f"{inner}: {Domain.open(inner)}")
            except DataError as error:
                yield Finding(PROBLEM, "data", str(error), f"python -m missrec_pl.prepare check {inner}")
        elif any(inner.glob("*.train.inter")):
            yield Finding(OK, "data", f"{inner}: a released folder (data=released data.name={inner.name})")


def check_wandb() -> Iterator[Finding]:
    """Whether ``logger=wandb`` would go online."""
    from missrec_pl.config.wandb_key import has_wandb_key

    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        yield Finding(OK, "wandb", f"WANDB_MODE={os.environ['WANDB_MODE']}")
    elif has_wandb_key():
        yield Finding(OK, "wandb", "a key is there: logger=wandb logs online")
    else:
        yield Finding(WARNING, "wandb", "no key: logger=wandb is refused", "wandb login, or WANDB_MODE=offline")


def _nearest(folder: Path) -> Path:
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _is_writable(folder: Path) -> bool:
    return os.access(_nearest(folder), os.W_OK)
