"""Peak memory of the tiled backend, measured in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys, torch
from pathlib import Path
from missrec_pl.clustering import dpc_knn
torch.set_num_threads(1)
def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
total = int(sys.argv[1])
dpc_knn(torch.randn(64, 32), 4, 4)  # loads what the first call loads
tokens = torch.randn(total, 32)
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
dpc_knn(tokens, 100, 16, backend=sys.argv[2])
print((status("VmHWM") - before) / 1024)
"""


def peak_extra_mb(total: int, backend: str = "tiled") -> float:
    command = [sys.executable, "-c", PROGRAM, str(total), backend]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_square():
    small, large = peak_extra_mb(6000), peak_extra_mb(18000)
    matrix = 18000**2 * 4 / 2**20
    assert large < 0.15 * matrix
    assert large < 3.5 * max(small, 30)
