"""The checks: Python and its packages, KeOps' compiler and cache, accelerators, disk, data folders, W&B."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import product
from pathlib import Path

from packaging.requirements import Requirement

from missrec_pl.clustering.backends import keops
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import MANIFEST
from missrec_pl.errors import DataError
from missrec_pl.system import keops_trial

OK, WARNING, PROBLEM = "ok", "warning", "problem"

_SMALL_GB = 2.0
_WIDTHS = (64, 128, 300)  # hidden sizes that the configs choose
_MALICIOUS = ("a malicious upload", "remove it, change every secret of this machine")
_KNOWN_BAD = (  # releases, why, what to do
    ("lightning==2.6.2", _MALICIOUS[0], f"{_MALICIOUS[1]}, install 2.6.6"),
    ("lightning==2.6.3", _MALICIOUS[0], f"{_MALICIOUS[1]}, install 2.6.6"),
    ("pytorch-lightning==2.6.2", *_MALICIOUS),
    ("pytorch-lightning==2.6.3", *_MALICIOUS),
    ("optuna>=5", "not supported by the Optuna sweeper", "pip install 'optuna<5'"),
)


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it."""

    level: str  # ok, warning (something will be slower, or missing where it is asked for) or problem
    subject: str  # what was looked at
    text: str  # what was found
    remedy: str = ""  # what to do; empty where all is well

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.subject:<12} {self.text}"
        return f"{line}\n{'':<22}-> {self.remedy}" if self.remedy else line


def check_python() -> Iterator[Finding]:
    """The interpreter."""
    found = sys.version.split()[0]
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding(OK, "python", found)
    else:
        yield Finding(PROBLEM, "python", f"{found} is not supported", "use Python 3.11, 3.12 or 3.13")


def check_packages() -> Iterator[Finding]:
    """What pyproject.toml asks for, and what of it is there."""
    try:
        wanted = [Requirement(line) for line in requires("missrec-pl") or []]
    except PackageNotFoundError:
        yield Finding(WARNING, "packages", "missrec-pl is not installed", "pip install -c constraints.txt -e .")
        return
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        name, found = requirement.name, _installed(requirement.name)
        if found is None:
            yield Finding(PROBLEM, name, "is not installed", f"pip install '{requirement}'")
        elif not requirement.specifier.contains(found, prereleases=True):
            remedy = f"pip install '{name}{requirement.specifier}'"
            yield Finding(PROBLEM, name, f"{found} is not {requirement.specifier}", remedy)
        else:
            yield Finding(OK, name, found)


def check_known_bad() -> Iterator[Finding]:
    """Releases that must not be here."""
    for releases, why, remedy in _KNOWN_BAD:
        requirement = Requirement(releases)
        found = _installed(requirement.name)
        if found is not None and requirement.specifier.contains(found):
            yield Finding(PROBLEM, requirement.name, f"{found} is {why}", remedy)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def check_keops(folder: Path | None = None, *, tries: bool = False) -> Iterator[Finding]:
    """Whether KeOps finds a compiler and a cache that it may write, and what a child process said that tried it.

    KeOps itself is not loaded here.

    Args:
        folder: where a run's verdict is kept; None for the user's cache.
        tries: whether a child process tries it now, for some minutes at most.
    """
    folder = keops_trial.default_folder() if folder is None else folder
    if reason := keops.missing_compiler():
        yield Finding(WARNING, "keops", reason, "install g++, or use interest.method.backend=tiled")
    else:
        yield Finding(OK, "keops", f"compiler {os.environ.get('CXX', 'g++')}")
        if tries:
            keops_trial.forget(folder)
        yield from _tried_keops(folder, tries)
    cache = Path(os.environ.get("KEOPS_CACHE_FOLDER", Path.home() / ".cache"))
    if not _is_writable(cache):
        remedy = "export KEOPS_CACHE_FOLDER=<a folder that can be written>"
        yield Finding(WARNING, "keops cache", f"{cache} cannot be written", remedy)


def _tried_keops(folder: Path, tries: bool) -> Iterator[Finding]:
    devices = ["cpu", *(["cuda"] if keops_trial.has_nvidia_device() else [])]
    for device, width in product(devices, _WIDTHS):
        ask = keops_trial.verdict if tries else keops_trial.known_verdict
        found, where = ask(device, width, folder), f"on {device} at {width} dimensions"
        if found is None:
            continue
        if problem := keops_trial.usable(found):
            remedy = "use interest.method.backend=tiled, as auto does then"
            yield Finding(WARNING, "keops", f"{where}: {problem}", remedy)
        else:
            yield Finding(OK, "keops", f"{where}: a child process tried it, and it works")


def check_accelerator() -> Iterator[Finding]:
    """CUDA and NCCL as torch sees them."""
    import torch

    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        names = {torch.cuda.get_device_name(index) for index in range(count)}
        yield Finding(OK, "cuda", f"{count} GPUs: {', '.join(sorted(names))}")
        if count > 1 and not torch.distributed.is_nccl_available():
            yield Finding(PROBLEM, "nccl", "torch has no NCCL", "install torch's CUDA build for Linux")
        return
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    text = f"torch {torch.__version__} ({built}) sees no GPU"
    if torch.version.cuda and shutil.which("nvidia-smi"):
        remedy = "nvidia-smi is here: compare the driver with torch's CUDA version"
        yield Finding(PROBLEM, "cuda", text, remedy)
    else:
        yield Finding(OK, "cuda", f"{text}: trainer=cpu")


def check_disk(folders: list[Path]) -> Iterator[Finding]:
    """Free space where runs and caches are written."""
    for folder in folders:
        free = shutil.disk_usage(_nearest(folder)).free / 1e9
        if not _is_writable(folder):
            yield Finding(PROBLEM, "disk", f"{folder} cannot be written", "choose another folder, or its rights")
        elif free < _SMALL_GB:
            remedy = "make room: a checkpoint is written aside"
            yield Finding(WARNING, "disk", f"{free:.1f} GB free at {folder}", remedy)
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
    from missrec_pl.loggers.wandb_server import has_key

    if os.environ.get("WANDB_MODE") in ("offline", "disabled"):
        yield Finding(OK, "wandb", f"WANDB_MODE={os.environ['WANDB_MODE']}")
    elif has_key():
        yield Finding(OK, "wandb", "a key is there: logger=wandb logs online")
    else:
        yield Finding(WARNING, "wandb", "no key: logger=wandb is refused", "wandb login, or WANDB_MODE=offline")


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def _is_writable(folder: Path) -> bool:
    return os.access(_nearest(folder), os.W_OK)
