"""Whether KeOps can be used here: a child process tries it before this one loads it.

KeOps compiles while it runs. Where two copies of libstdc++ meet in one process that can end the process by a
segmentation fault, which no exception tells. Nothing here imports torch, so that a program can start itself again
with another library before it has loaded anything.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from missrec_pl.system.child_trial import Verdict, failure_of, recalled, remembered

COMMAND = [sys.executable, "-m", "missrec_pl.clustering.backends.keops_child"]
"""The child; a device type and a width follow."""
LIMIT_S = 300.0
"""Time for the child, in seconds; on CPU a formula takes 10 to 30 s to compile, once."""
MOST_DIFFERENCE = 1e-4
"""Largest relative difference of squared distances between KeOps and the tiled backend."""
FILE = "keops.json"
_STARTED_WITH = "MISSREC_PRELOADED"
_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib")
_memory: dict[tuple[str, int], Verdict] = {}


def missing_compiler() -> str:
    """Say in one line why KeOps could not compile here; empty when it can."""
    return "" if _compiler() else "no C++ compiler found (g++, or the one that CXX names)"


def verdict(device: str, width: int, folder: Path | None = None) -> Verdict:
    """Whether KeOps works for tokens of a width on a device, by trial or as it was found before.

    Args:
        device: ``cpu`` or ``cuda``.
        width: of the tokens.
        folder: where verdicts are kept; None for the user's cache.
    """
    if reason := missing_compiler():
        return Verdict(False, reason)
    if (device, width) not in _memory:
        place = default_folder() if folder is None else folder
        _memory[device, width] = remembered(
            place, FILE, _circumstances(device, width), lambda: _trial(device, width)
        )
    return _memory[device, width]


def known_verdict(device: str, width: int, folder: Path) -> Verdict | None:
    """What is remembered, without a trial."""
    return recalled(folder, FILE, _circumstances(device, width))


def default_folder() -> Path:
    """Where verdicts are kept if nobody names a folder."""
    named = os.environ.get("MISSREC_CACHE_DIR")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "missrec_pl")


def usable(found: Verdict) -> str:
    """Why this process cannot load KeOps, with the cure; empty where it can."""
    if not found.works:
        return f"{found.problem}; `python -m missrec_pl.doctor --try-keops` tries it again"
    if found.preload and found.preload not in os.environ.get("LD_PRELOAD", ""):
        return f"{found.problem}; start with LD_PRELOAD={found.preload}, which cures it"
    return ""


def forget(folder: Path | None = None) -> None:
    """Forget all verdicts, so that the next question is tried."""
    _memory.clear()
    ((default_folder() if folder is None else folder) / FILE).unlink(missing_ok=True)


def start_again_with(library: str) -> None:
    """Replace this program by itself with a library that is loaded before all others; only once."""
    if os.environ.get(_STARTED_WITH) == library:
        return
    print(
        f"note: KeOps works here with {library} loaded first: starting again with it", file=sys.stderr, flush=True
    )
    before = os.environ.get("LD_PRELOAD", "")
    os.environ["LD_PRELOAD"] = f"{library}:{before}".rstrip(":")
    os.environ[_STARTED_WITH] = library
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def has_nvidia_device() -> bool:
    """Whether the system shows an NVIDIA device, without asking torch."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _trial(device: str, width: int) -> Verdict:
    command = [*COMMAND, device, str(width)]
    problem = failure_of(command, LIMIT_S, MOST_DIFFERENCE)
    if not problem:
        return Verdict(True)
    problem = f"the child process that tried KeOps failed: {problem}"
    library = _system_library() if device == "cuda" else ""
    if library and not failure_of(command, LIMIT_S, MOST_DIFFERENCE, library):
        return Verdict(True, problem, library)
    return Verdict(False, problem)


def _compiler() -> str:
    named = os.environ.get("CXX")
    found = (shutil.which(name) for name in (*([named] if named else []), "g++", "clang++"))
    return next(filter(None, found), "")


def _system_library() -> str:
    """The system's libstdc++, by its path; empty where there is none."""
    places = [Path(folder, "libstdc++.so.6") for folder in _FOLDERS]
    try:
        command = [_compiler(), "-print-file-name=libstdc++.so.6"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        places.insert(0, Path(said.stdout.strip()))
    except (OSError, subprocess.TimeoutExpired):
        pass
    return next((str(place.resolve()) for place in places if place.is_absolute() and place.is_file()), "")


def _circumstances(device: str, width: int) -> dict[str, str]:
    """What a verdict depends on."""
    compiler = Path(_compiler())
    preloaded = os.environ.get("LD_PRELOAD", "").replace(os.environ.get(_STARTED_WITH, "\0"), "").strip(":")
    return {
        **{name: _version(name) for name in ("torch", "pykeops", "keopscore")},
        "python": sys.version,
        "system": platform.platform(),
        "compiler": f"{compiler.resolve()} {compiler.stat().st_size if compiler.is_file() else ''}",
        "gpu": _gpu() if device == "cuda" else "",
        "preloaded": preloaded,
        "device": device,
        "width": str(width),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _gpu() -> str:
    """Driver and cards as the driver's files name them."""
    found = []
    for file in (
        Path("/proc/driver/nvidia/version"),
        *sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")),
    ):
        try:
            found += [line for line in file.read_text().splitlines() if line.startswith(("NVRM", "Model"))]
        except OSError:
            continue
    return "; ".join(" ".join(line.split()) for line in found)
