"""Jobs of a sweep that need several processes: each is a command of its own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from missrec_pl.config.launched import used_processes
from missrec_pl.errors import RunError
from missrec_pl.system.documents import read_json
from missrec_pl.system.files import RESULTS_NAME
from missrec_pl.system.processes import started_by_others

log = logging.getLogger(__name__)

_SWEEP_ONLY = ("hydra.sweep", "hydra.sweeper", "hydra.launcher", "hydra/sweeper", "hydra/launcher", "hydra.mode")


def needs_own_command(cfg: DictConfig) -> bool:
    """Whether a job of a sweep would start its further processes by repeating the sweep's command, ``-m`` and all.

    Lightning does for several devices, whatever the strategy is called, wherever nobody else has started the
    processes.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return False
    strategy = str(OmegaConf.select(cfg, "trainer.strategy"))
    starts_by_command = (used_processes(cfg) > 1 or "ddp" in strategy) and not strategy.endswith(
        ("spawn", "fork", "notebook")
    )
    return starts_by_command and "Basic" in str(HydraConfig.get().launcher) and not started_by_others()


def run_as_own_command(output_dir: str) -> dict[str, Any]:
    """Run this job as a command without ``-m`` in the job's folder, and read its results.

    Args:
        output_dir: the job's folder.

    Returns:
        What the job wrote to ``results.json``.

    Raises:
        RunError: the command failed; it has said why itself.
    """
    # A search says itself that it is a sweep.
    arguments = [*job_overrides(), "hydra.mode=RUN", f"hydra.run.dir={json.dumps(output_dir)}"]
    log.info("sweep: this job's processes are started by a command of its own")
    ended = subprocess.run([sys.executable, *_program(), *arguments], check=False)
    if ended.returncode:
        error = RunError(
            f"the job in {output_dir} ended with exit code {ended.returncode}: see what it said above."
        )
        code = ended.returncode
        error.exit_code = code if code > 0 else 128 - code  # as a shell says it of a signal
        raise error
    results: dict[str, Any] = read_json(Path(output_dir) / RESULTS_NAME, "repeat the job")
    return results


def _program() -> list[str]:
    """How this program was started: as a file, or as a module."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return [str(Path(sys.argv[0]).resolve())] if module is None else ["-m", module.name]


def job_overrides() -> list[str]:
    """The task's overrides with this job's values of the sweep, and Hydra's own without the sweep's."""
    overrides = HydraConfig.get().overrides
    kept = [one for one in overrides.hydra if not one.lstrip("+~").startswith(_SWEEP_ONLY)]
    return [*map(str, overrides.task), *map(str, kept)]
