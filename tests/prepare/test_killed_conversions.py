"""``prepare interactions`` killed at any moment: nothing is half-written, and the next run gives the whole."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main

pytest.importorskip("duckdb", reason='needs pip install "missrec-pl[prepare]"')


def arguments(source: Path, out: Path) -> list[str]:
    flags = ["--format", "table", "--keep-items-without-text", "--k-core", "2", "--threads", "1"]
    return ["interactions", str(source), str(out), *flags]


def log(path: Path, rows: int) -> Path:
    lines = (f"u{row % 997},p{row * row % 499},{1_600_000_000 + row}\n" for row in range(rows))
    path.write_text("user,item,time\n" + "".join(lines))
    return path


def killed_when(arguments: list[str], is_time: Callable[[], bool]) -> int:
    """Starts the command and kills it when ``is_time``; its exit status."""
    command = [sys.executable, "-m", "missrec_pl.prepare", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if is_time():
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.002)
        return process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["reading", "filtering", "writing"])
def test_a_killed_run_leaves_nothing_that_counts_and_the_next_is_whole(stage: str, tmp_path: Path) -> None:
    source = log(tmp_path / "log.csv", 400_000)
    out, whole = tmp_path / "out", tmp_path / "whole"
    sizes = {"reading": 1, "filtering": 4_000_000}

    def is_time() -> bool:
        if stage == "writing":
            return any(tmp_path.glob(".out.tmp-*/*"))
        return any(
            file.stat().st_size >= sizes[stage]
            for file in tmp_path.glob(".out.work-*/work.duckdb*")
            if file.exists()
        )

    assert killed_when(arguments(source, out), is_time) == -signal.SIGKILL
    assert not out.exists()
    assert any(tmp_path.glob(".out.work-*"))
    assert main(arguments(source, out)) == main(arguments(source, whole)) == 0
    domain, expected = Domain.open(out, verify=True), Domain.open(whole, verify=True)
    assert domain.raw_item_ids() == expected.raw_item_ids()
    assert (domain.sequences.items == expected.sequences.items).all()
    assert (domain.sequences.offsets == expected.sequences.offsets).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "out", "whole"]


def test_a_living_run_keeps_its_folder(tmp_path: Path) -> None:
    from missrec_pl.prepare.interactions.database import working_database

    source = log(tmp_path / "log.csv", 5_000)
    with working_database(tmp_path / "out", memory="1GB", threads=1) as (connection, folder):
        assert main(arguments(source, tmp_path / "out")) == 0
        assert folder.is_dir()
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert not folder.exists()
