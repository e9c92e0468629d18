"""Importing this makes OpenMP's threads sleep while they wait, and no more of them than there are cores.

Every program imports it before torch. Threads that spin take the cores from whoever else works on the machine:
beside two busy neighbours an epoch took 42 s with spinning threads and 19 s with sleeping ones. A user who sets
one of these variables keeps it.
"""

import os

from missrec_pl.system.threads import share_cores

_CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")

if not any(name in os.environ for name in _CHOICES):
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
share_cores(int(os.environ.get("LOCAL_WORLD_SIZE") or 1))
