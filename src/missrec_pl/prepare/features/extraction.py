"""One modality of one domain: chunk by chunk, then all at once into the domain folder."""

from __future__ import annotations

import csv
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from missrec_pl.data.domain.files import FeatureMatrix
from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.encoders.base import BatchTextEncoder, ImageEncoder
from missrec_pl.prepare.encoders.registry import EncoderChoice
from missrec_pl.prepare.features.jobs import ImageJob, Job, TextJob, WordDrop
from missrec_pl.prepare.features.status import Status, counts
from missrec_pl.prepare.features.store import ChunkStore, StoredRows
from missrec_pl.system.files import whole_file

VIEW = "text_worddrop"
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Extraction:
    """What to do with one modality of one domain; small and plain, so that it goes to other processes.

    Attributes:
        domain: The domain folder, its real path: the finished rows lie beside it.
        name: ``text``, ``image`` or ``text_worddrop``.
        encoder: Who encodes.
        batch_size: Rows encoded together.
        workers: Threads that decode pictures.
        drop: For ``text_worddrop``.
    """

    domain: Path
    name: str
    encoder: EncoderChoice
    batch_size: int
    workers: int
    drop: WordDrop | None = None

    def job(self, encoder: BatchTextEncoder | ImageEncoder) -> tuple[Job, ChunkStore]:
        """The job and its finished rows.

        Raises:
            ConfigError: The encoder does not encode this.
        """
        domain = Domain.open(self.domain)
        job: Job
        if self.name == "image":
            if not isinstance(encoder, ImageEncoder):
                raise ConfigError(f"--encoder {self.encoder.name} encodes no pictures")
            names = domain.image_paths()[1:]
            job = ImageJob(encoder, names, self.domain, self.batch_size, self.workers)
        else:
            if not isinstance(encoder, BatchTextEncoder):
                raise ConfigError(f"--encoder {self.encoder.name} encodes no texts")
            job = TextJob(encoder, domain.texts()[1:], self.batch_size, self.drop)
        return job, ChunkStore(self.domain, self.name, job.key(), domain.num_items)


@dataclass(frozen=True)
class Extracted:
    """Features of one modality, still in their store.

    Attributes:
        name: ``text``, ``image`` or ``text_worddrop``.
        matrix: For the domain folder.
        found: How many items became what.
        problems: ``(item, status, reason)`` of every item with a problem.
        store: To be removed once the features are in the domain folder.
    """

    name: str
    matrix: FeatureMatrix
    found: dict[str, int]
    problems: list[tuple[int, Status, str]]
    store: ChunkStore


def encode_chunks(
    job: Job, store: ChunkStore, shard: int, num_shards: int, advance: Callable[[int], None]
) -> None:
    """Encodes the chunks of a shard (every ``num_shards``-th) that are not there yet."""
    wanted = [number for number in store.missing() if number % num_shards == shard]
    chunks = job.encoded(store.span(number) for number in wanted)
    for number, chunk in zip(wanted, chunks, strict=True):
        store.write(number, chunk)
        advance(len(chunk.status))


def encode_in_processes(
    extraction: Extraction, processes: int, store: ChunkStore, advance: Callable[[int], None]
) -> None:
    """Encodes in several processes, each with every ``processes``-th chunk; on GPUs one process for each GPU.

    Raises:
        DataError: A process failed; what the others finished stays.
    """
    context = multiprocessing.get_context("spawn")
    running = [
        context.Process(target=_encode_shard, args=(extraction, shard, processes)) for shard in range(processes)
    ]
    before = len(store.missing())
    for process in running:
        process.start()
    try:
        while any(process.is_alive() for process in running):
            time.sleep(_POLL_SECONDS)
            left = len(store.missing())
            advance((before - left) * (store.span(0).stop - store.span(0).start))
            before = left
    finally:
        for process in running:
            if process.is_alive():
                process.terminate()
            process.join()
    if any(process.exitcode for process in running):
        raise DataError(f"{extraction.domain}: an encoding process failed; see its message above, then run again")


def _encode_shard(extraction: Extraction, shard: int, num_shards: int) -> None:
    encoder = extraction.encoder.on_gpu(shard).build()
    job, store = extraction.job(encoder)
    encode_chunks(job, store, shard, num_shards, lambda rows: None)


def collected(extraction: Extraction, job: Job, store: ChunkStore) -> Extracted:
    """Joins all chunks of a finished store.

    Raises:
        DataError: No item has the modality.
    """
    chunks = [store.read(number) for number in range(store.num_chunks)]
    statuses = np.concatenate([chunk.status for chunk in chunks])
    truncated = int(sum(chunk.truncated.sum() for chunk in chunks))
    problems = [
        (store.span(number).start + row + 1, Status(chunk.status[row]), reason)
        for number, chunk in enumerate(chunks)
        for row, reason in chunk.reasons
    ]
    found = {**counts(statuses), **({"cut to the encoder's length": truncated} if truncated else {})}
    present = statuses == Status.OK
    if not present.any():
        told = ", ".join(f"{number} {name}" for name, number in found.items())
        raise DataError(f"{extraction.domain}: no item has {extraction.name} features ({told})")
    made_by: dict[str, Any] = {
        **job.recipe.plain(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "found": found,
    }
    if extraction.drop is not None:
        made_by["options"] = {
            **made_by["options"],
            "word_drop": extraction.drop.share,
            "seed": extraction.drop.seed,
        }
    matrix = FeatureMatrix(StoredRows(store, job.dim), present, job.recipe.encoder, made_by)
    return Extracted(extraction.name, matrix, found, problems, store)


def lock_of(domain: Path) -> FileLock:
    """Held while a domain folder is replaced: shards may finish at the same moment."""
    return FileLock(domain.parent / f".{domain.name}.features.lock")


def problem_rows(domain: Domain, found: Sequence[Extracted]) -> list[tuple[str | int, ...]]:
    """Every item with a problem: domain, modality, item, raw id, file, problem, reason."""
    raw_ids, files = domain.raw_item_ids(), domain.image_paths()
    return [
        (
            domain.name,
            one.name,
            item,
            raw_ids[item],
            files[item] if one.name == "image" else "",
            status.name.lower(),
            reason,
        )
        for one in found
        for item, status, reason in one.problems
    ]


def write_problems(path: Path, rows: Sequence[tuple[str | int, ...]]) -> None:
    """A CSV of what ``problem_rows`` gives, of any number of domains."""
    with whole_file(path, several_writers=True) as part, part.open("w", newline="", encoding="utf-8") as stream:
        header = ("domain", "modality", "item", "raw_id", "file", "problem", "reason")
        csv.writer(stream).writerows([header, *rows])
