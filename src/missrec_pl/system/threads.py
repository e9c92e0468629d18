"""How many threads a process may use: the cores it is allowed, shared with the other processes of its run.

Nothing here imports torch unless it is loaded already.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

_COUNT, _OURS = "OMP_NUM_THREADS", "MISSREC_THREADS"
_CGROUPS = Path("/sys/fs/cgroup")


def available_cores(cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> int:
    """Cores that this process may use: those of its affinity mask, and no more than its cgroups' quotas pay for.

    Args:
        cgroups: where the system shows its control groups.
        own: which of them this process is in.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for folder in _own_groups(cgroups, own) if (quota := _quota(folder)) is not None]
    return max(1, min(cores, *(math.ceil(quota) for quota in quotas))) if quotas else cores


def share_cores(processes: int) -> int:
    """Give this process its share of the cores, unless the user has said ``OMP_NUM_THREADS``.

    Processes that it starts inherit the number.

    Args:
        processes: of this run on this machine.

    Returns:
        The number of threads; 0 where the user's choice was left alone.
    """
    if _COUNT in os.environ and os.environ.get(_OURS) != os.environ[_COUNT]:
        return 0
    count = max(1, available_cores() // max(1, processes))
    os.environ[_COUNT] = os.environ[_OURS] = str(count)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(count)
    return count


def _own_groups(cgroups: Path, own: Path) -> list[Path]:
    """This process's control groups and those above them."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    found = [cgroups, cgroups / "cpu"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = cgroups if not controllers else cgroups / controllers
        if not controllers or "cpu" in controllers.split(","):
            place = root / path.lstrip("/")
            found += [place, *(above for above in place.parents if above.is_relative_to(root))]
    return found


def _quota(folder: Path) -> float | None:
    """Cores that a control group pays for; None without a limit."""
    try:
        limit, period = (folder / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else None
    except (OSError, ValueError):
        return None
