"""Native code that may crash or hang: tried in a child process under a time limit, and the answer remembered.

Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from missrec_pl.errors import DataError
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import whole_file


@dataclass(frozen=True)
class Verdict:
    """What a trial has shown.

    Attributes:
        works: whether the code may be loaded, with ``preload`` where that is not empty.
        problem: what happened without it, in words; empty where all is well.
        preload: a library that has to be loaded before all others.
    """

    works: bool
    problem: str = ""
    preload: str = ""


def failure_of(command: Sequence[str], limit_s: float, most: float, preload: str = "") -> str:
    """Run a command that prints ``{"difference": number}`` as its last line; how it failed, in words.

    Args:
        command: the child's command line; it leads a process group of its own, which ends with it.
        limit_s: seconds until it is killed.
        most: largest difference that is no failure.
        preload: a library for ``LD_PRELOAD``.

    Returns:
        An empty text if it ended in time, by itself, with a difference of at most ``most``.
    """
    before = os.environ.get("LD_PRELOAD", "")
    added = {"LD_PRELOAD": f"{preload}:{before}".rstrip(":")} if preload else {}
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **added}, start_new_session=True,
    )  # fmt: skip
    try:
        printed, complained = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"it was still busy after {limit_s:g} s"
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
    if child.returncode < 0:
        return f"it died of {signal.Signals(-child.returncode).name}"
    last = (printed.strip().splitlines() or [""])[-1]
    if child.returncode:
        reason = (complained.strip().splitlines() or [last])[-1]
        return f"it ended with exit code {child.returncode} ({reason[:200]})"
    try:
        difference = float(json.loads(last)["difference"])
    except (ValueError, TypeError, KeyError):
        return f"it said nothing that can be read ({last[:100]!r})"
    return "" if difference <= most else f"its distances differ by {difference:.1e}"


def remembered(folder: Path, file: str, circumstances: Mapping[str, str], ask: Callable[[], Verdict]) -> Verdict:
    """The verdict under these circumstances: from a file where it is known, else by asking, one process at a time.

    Args:
        folder: of the file; where it cannot be written nothing is remembered.
        file: the file's name.
        circumstances: what the verdict depends on.
        ask: makes the trial.
    """
    key = hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()[:16]
    with _locked(folder / f".{file}.lock"):
        known = _read(folder / file)
        if key in known:
            return known[key]
        verdict = ask()
        with suppress(OSError), whole_file(folder / file) as part:
            known[key] = verdict
            part.write_text(json.dumps({name: asdict(one) for name, one in known.items()}, indent=1) + "\n")
    return verdict


def recalled(folder: Path, file: str, circumstances: Mapping[str, str]) -> Verdict | None:
    """The verdict that the file holds; None where there is none. Nothing is tried."""
    key = hashlib.sha256(json.dumps(circumstances, sort_keys=True).encode()).hexdigest()[:16]
    return _read(folder / file).get(key)


def _read(path: Path) -> dict[str, Verdict]:
    try:
        return {str(key): Verdict(**value) for key, value in read_json(path, "remove it").items()}
    except (OSError, DataError, TypeError, AttributeError):
        return {}


def _locked(path: Path) -> Any:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
        lock.release()
        return lock
    except (OSError, NotImplementedError):  # no file can be made or locked there
        return nullcontext()
