"""The jobs of a sweep: one that fails is recorded, the others go on, and the end says which failed."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from missrec_pl.errors import StoppedError
from missrec_pl.experiment.messages import lines_of, say
from missrec_pl.system.files import whole_file

FAILED_NAME = "failed.json"
_STOPPED = (StoppedError.exit_code, 128 + 2, 128 + 15)
"""Exit codes of a job that was told to stop: the sweep was meant."""


class JobFailedError(Exception):
    """A job of a sweep has failed, has said why, and has written it to its folder."""

    def __init__(self, folder: str, lines: list[str], exit_code: int) -> None:
        super().__init__(folder, lines, exit_code)
        self.folder, self.lines, self.exit_code = folder, lines, exit_code

    def __str__(self) -> str:
        return " ".join(self.lines)


class _Ended(NamedTuple):
    number: str
    folder: str
    exit_code: int


_ended: list[_Ended] = []
"""The jobs that have ended in this process."""


@contextmanager
def job() -> Iterator[None]:
    """What runs inside is a run; as a job of a sweep it fails for itself, without ending the sweep.

    Raises:
        JobFailedError: a job of a sweep failed, by a user's mistake or by a bug.
        SystemExit: a single run found a user's mistake, or somebody told the sweep to stop.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    hydra = HydraConfig.get()
    folder, is_sweep = Path(hydra.runtime.output_dir), hydra.mode == RunMode.MULTIRUN
    try:
        yield
    except Exception as error:
        lines, code = lines_of(error), int(getattr(error, "exit_code", 2))
        if lines and (not is_sweep or code in _STOPPED):
            say(lines, error)
            sys.exit(code)
        if not is_sweep:
            raise
        if not lines:
            traceback.print_exc()
            lines, code = [f"{type(error).__name__}: {error}"], 1
        say([*lines, f"the job in {folder} failed; the sweep goes on."], error)
        _record(folder, lines, code)
        _ended.append(_Ended(str(hydra.job.num), str(folder), code))
        raise JobFailedError(str(folder), lines, code) from error
    if is_sweep:
        _ended.append(_Ended(str(hydra.job.num), str(folder), 0))
    (folder / FAILED_NAME).unlink(missing_ok=True)


def summary() -> tuple[str, int]:
    """What is to be said when the sweep has ended, and its exit code; nothing and 0 where no job failed."""
    failed = [one for one in _ended if one.exit_code]
    if not failed:
        return "", 0
    names = ", ".join(f"{one.number} ({one.folder})" for one in failed)
    return f"{len(failed)} of {len(_ended)} jobs failed: {names}: see {FAILED_NAME} in each.", failed[0].exit_code


def all_failed() -> bool:
    """Whether jobs have ended and none of them well."""
    return bool(_ended) and all(one.exit_code for one in _ended)


def settle(config: Any, job_return: Any) -> None:
    """Keep a failed job from ending Hydra's own sweeper, which goes through its jobs in batches.

    Optuna's sweeper is left to count its failed trials (``max_failure_rate``).

    Args:
        config: of the job, with ``hydra``.
        job_return: Hydra's ``JobReturn``, which is changed.
    """
    sweeper, launcher = str(config.hydra.sweeper), str(config.hydra.launcher)
    # Another launcher's jobs are not of this process: their failures have to reach it.
    if "BasicSweeper" not in sweeper or "BasicLauncher" not in launcher:
        return
    if job_return.status.name == "FAILED" and isinstance(job_return._return_value, JobFailedError):
        job_return.status = type(job_return.status).COMPLETED
        job_return.return_value = None


def _record(folder: Path, lines: list[str], code: int) -> None:
    try:
        with whole_file(folder / FAILED_NAME) as part:
            part.write_text(json.dumps({"lines": lines, "exit_code": code}, indent=2), encoding="utf-8")
    except OSError as error:  # the disk may be what failed
        say([f"{folder / FAILED_NAME}: cannot be written ({error.strerror})."], error)
