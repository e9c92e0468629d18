"""Which processes somebody else has started for this run, by the environment alone."""

from __future__ import annotations

import os

RANKS = (
    *("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK", "SLURM_PROCID"),
    *("OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK"),
)
_SIZES = {
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
    "MV2_COMM_WORLD_SIZE": "mpirun",
}


def is_first_process() -> bool:
    """Whether this is the first process of its run, by what Lightning and the launchers tell it at its start."""
    return all(int(os.environ.get(name) or 0) == 0 for name in RANKS)


def launched_processes() -> tuple[int, str]:
    """How many processes a launcher has started for this run, and the launcher; 1 and nothing where none has."""
    found = [(int(os.environ.get(name) or 1), by) for name, by in _SIZES.items()]
    if "TORCHELASTIC_RUN_ID" in os.environ or "LOCAL_RANK" in os.environ:
        found.append((int(os.environ.get("WORLD_SIZE") or 1), "torchrun"))
    count, by = max(found)
    return (count, by) if count > 1 else (1, "")
