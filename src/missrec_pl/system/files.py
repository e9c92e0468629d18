"""The files of a run's folder: their names, and how any file is written so that it is complete or not there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RESULTS_NAME = "results.json"
RANKS_NAME = "test_ranks.parquet"
RECOMMENDATIONS_NAME = "recommendations.parquet"
BASELINE_RANKS_NAME = "baseline_ranks.parquet"


@contextmanager
def whole_file(target: Path, *, several_writers: bool = False, to_disk: bool = False) -> Iterator[Path]:
    """Give a path beside ``target`` to write to; the file takes its place if the block ends without an error.

    Args:
        target: the file to make or to replace; its folder is made.
        several_writers: processes may write it at once, each its own part; of one that is killed the part stays.
            Otherwise the next attempt writes over what a killed one left.
        to_disk: wait for the disk before the old file goes, for what a power cut must not take.

    Raises:
        OSError: it cannot be written (disk full, read-only); the file that was there is as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}-{uuid.uuid4().hex[:8]}." if several_writers else ""
    part = target.with_name(f".{target.name}.{mark}part")
    try:
        yield part
        if to_disk:
            with part.open("rb+") as stream:
                os.fsync(stream.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
