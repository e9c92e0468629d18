import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT, SMALL


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the rehearsal reads its memory from /proc")
def test_rehearsal_of_the_papers_size_runs_and_reports(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "rehearsal.py"), "--cache", str(tmp_path / "cache")]
    options = ["--scale=0.0005", "--batch=64", "--steps=3", "--features=memmap,device/float16"]
    file = tmp_path / "report.json"
    run = subprocess.run(
        [*command, *options, f"--json={file}", *SMALL], capture_output=True, text=True, timeout=240, check=True
    )
    reports = json.loads(file.read_text())
    assert [report["features"] for report in reports] == ["memmap", "device/float16"]
    for report in reports:
        assert 0 < report["waiting"] < 1
        assert 0 < report["start_s"] < 60
        assert 50 < report["anon"] < report["rss"] < 4096
        assert set(report["phases"]) == {"start", "refresh", "steps"}
    assert reports[0]["loss"] == reports[1]["loss"]  # the same steps, wherever the features are
    assert run.stdout.count("waiting for data") == 2
