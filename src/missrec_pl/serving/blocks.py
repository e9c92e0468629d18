"""Blocks of a file of histories, ranked one by one, here or by others; each waits as a file for the last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.serving.history_files import HistoryBlock, read_histories
from missrec_pl.serving.recommender import ServedRecommender
from missrec_pl.serving.request import Request
from missrec_pl.system.files import whole_file


@dataclass
class BatchSummary:
    """What was done.

    Attributes:
        histories: how many there were.
        resumed: how many of them an earlier attempt had ranked.
        without_items: how many held no known item.
        unknown: ids that were skipped.
    """

    histories: int = 0
    resumed: int = 0
    without_items: int = 0
    unknown: int = 0

    def add(self, other: BatchSummary) -> None:
        """Count further ones."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    def line(self) -> str:
        """In words."""
        return (
            f"{self.histories:,} histories ({self.resumed:,} from an earlier attempt), {self.unknown:,} unknown "
            f"ids skipped, {self.without_items:,} histories without a known item"
        )


@dataclass(frozen=True)
class Blocks:
    """How blocks are ranked, and where they wait; plain values, so that it can be sent to other processes.

    Attributes:
        folder: of the finished blocks.
        k: recommendations of each history.
        exclude_seen: see :meth:`ServedRecommender.recommend`.
        size: histories of each block but the last.
    """

    folder: Path
    k: int
    exclude_seen: bool
    size: int

    def part(self, number: int) -> Path:
        """The recommendations of a block."""
        return self.folder / f"{number:08}.parquet"

    def tally(self, number: int) -> BatchSummary | None:
        """What was done of a block; None: it is not ranked."""
        tally = self._tally(number)
        if not (tally.is_file() and self.part(number).is_file()):
            return None
        return BatchSummary(**json.loads(tally.read_text(encoding="utf-8")))

    def rank(self, served: ServedRecommender, some: HistoryBlock, number: int) -> None:
        """Rank a block."""
        answer = served.answer(Request(some.histories, self.k, self.exclude_seen, times=some.times, at=some.at))
        count, first = len(some.histories), number * self.size
        users = pa.array(np.arange(first, first + count)) if some.users is None else pa.array(some.users)
        with whole_file(self.part(number)) as file:
            pq.write_table(answer.table(users=users).replace_schema_metadata(), file, compression="zstd")
        skipped = [len(ids) for ids in answer.unknown]
        lost = sum(len(history) == lost for history, lost in zip(some.histories, skipped, strict=True))
        with whole_file(self._tally(number)) as file:
            file.write_text(json.dumps(asdict(BatchSummary(count, 0, lost, sum(skipped)))), encoding="utf-8")

    def ranked(self, served: ServedRecommender, histories: Iterator[HistoryBlock]) -> Iterator[int]:
        """Rank what is not ranked; yields the numbers of all blocks."""
        for number, some in enumerate(histories):
            if self.tally(number) is None:
                self.rank(served, some, number)
            yield number

    def handed_out(self, number: int) -> Path:
        """The histories of a block that another process ranks."""
        return self.folder / f"{number:08}.histories.parquet"

    def hand_out(self, some: HistoryBlock, number: int) -> None:
        """Write the histories of a block for another process."""
        columns = {
            "user": some.users,
            "history": [list(map(str, one)) for one in some.histories],
            "times": some.times,
            "at": some.at,
        }
        kinds = {"history": pa.list_(pa.string()), "times": pa.list_(pa.int64())}
        with whole_file(self.handed_out(number)) as file:
            said = {name: pa.array(rows, kinds.get(name)) for name, rows in columns.items() if rows is not None}
            pq.write_table(pa.table(said), file, compression="zstd")

    def rank_handed_out(self, served: ServedRecommender, number: int) -> None:
        """Rank such a block."""
        (some,) = read_histories(self.handed_out(number), self.size)
        self.rank(served, some, number)
        self.handed_out(number).unlink()

    def _tally(self, number: int) -> Path:
        return self.part(number).with_suffix(".json")
