"""One modality of one domain: encoded chunk by chunk, then collected for the domain folder."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.files import FeatureMatrix, Features, Flags
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import FeatureDtype
from missrec_pl.data.domain.update import image_files
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.encoders.base import BatchTextEncoder, Encoder, ImageEncoder, ItemEncoder
from missrec_pl.prepare.encoders.registry import EncoderChoice
from missrec_pl.prepare.features.jobs import ImageJob, Job, TextJob, WordDrop
from missrec_pl.prepare.features.picture_folders import remembered_folders
from missrec_pl.prepare.features.store import ChunkStore, Status, StoredRows, counts
from missrec_pl.system.ray_workers import Work, on_workers

VIEW = "text_worddrop"
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Plan:
    """How features are made."""

    encoder: EncoderChoice  # who encodes
    modalities: tuple[str, ...]  # names of the modalities to make
    drop: WordDrop | None = None  # also make the view ``text_worddrop``
    batch_size: int = 64  # rows encoded together
    workers: int = 4  # threads that decode pictures
    processes: int = 1  # processes that share the rows on this machine
    ray_workers: int | None = None  # workers of a Ray cluster that share the rows; None: no Ray
    shard: tuple[int, int] | None = None  # this command's share ``(i, n)`` of the rows; None: all
    dtype: FeatureDtype = "float32"  # how features are stored
    overwrite: bool = False  # replace features that are there
    image_folder: tuple[Path, ...] = ()  # where pictures may lie, besides in the domain folder and beside it
    missing: bool = False  # only items that have no features yet; the others keep theirs
    pictures: str = "first"  # of an item's several pictures: the ``first``, or the ``mean`` of their features
    report: Path | None = None  # CSV of all items with problems, of all domains

    def names(self) -> list[str]:
        """Modalities and views to make."""
        return [*self.modalities, *([VIEW] if self.drop is not None else [])]


@dataclass(frozen=True)
class Extraction:
    """What to do with one modality of one domain; plain values, so that it can be sent to other processes."""

    plan: Plan
    domain: Path  # the domain folder, its real path: the finished rows lie beside it
    name: str  # the modality, or ``text_worddrop``

    def job(self, encoder: Encoder) -> tuple[Job, ChunkStore]:
        """The job and its finished rows.

        Raises:
            ConfigError: The encoder does not encode this.
        """
        domain = Domain.open(self.domain)
        job = self._job(encoder, domain)
        return job, ChunkStore(self.domain, self.name, job.key(), domain.num_items)

    def _job(self, encoder: Encoder, domain: Domain) -> Job:
        plan, called = self.plan, f"--encoder {self.plan.encoder.name}"
        wanted = self._wanted(domain)
        texts = [text.strip() if new else "" for text, new in zip(domain.texts()[1:], wanted, strict=True)]
        if isinstance(encoder, ItemEncoder):
            values = {"texts": texts, "raw_ids": domain.raw_item_ids()[1:]}
            if encoder.reads == "image_paths":
                files = image_files(self.domain, domain.image_paths()[1:], self._folders())
                values["image_paths"] = [str(file or "") for file in files]
            inputs = [one if new else "" for one, new in zip(values[encoder.reads], wanted, strict=True)]
            return TextJob(encoder, inputs, plan.batch_size)
        reads_pictures = self.name == "image"
        if self.name not in ("text", "image", VIEW):  # a modality of another name: whatever the encoder reads
            reads_pictures = isinstance(encoder, ImageEncoder)
            if reads_pictures and isinstance(encoder, BatchTextEncoder):
                raise ConfigError(f"--modality {self.name}: {called} encodes texts and pictures; name one of them")
        if reads_pictures:
            if not isinstance(encoder, ImageEncoder):
                raise ConfigError(f"{called} encodes no pictures")
            names = domain.all_image_paths()[1:]
            names = [several[:1] for several in names] if plan.pictures == "first" else names
            names = [several if new else [] for several, new in zip(names, wanted, strict=True)]
            return ImageJob(encoder, names, self.domain, plan.batch_size, plan.workers, self._folders())
        if not isinstance(encoder, BatchTextEncoder):
            raise ConfigError(f"{called} encodes no texts")
        return TextJob(encoder, texts, plan.batch_size, plan.drop if self.name == VIEW else None)

    def _wanted(self, domain: Domain) -> list[bool]:
        """Which of items 1..N are to be encoded: all, or those without features where that is asked for."""
        if not self.plan.missing:
            return [True] * domain.num_items
        return list(map(bool, ~domain.present(self.name)[1:]))

    def _folders(self) -> tuple[Path, ...]:
        return (*self.plan.image_folder, *remembered_folders())


@dataclass(frozen=True)
class Extracted:
    """Features of one modality, still in their store."""

    name: str  # the modality, or ``text_worddrop``
    matrix: FeatureMatrix  # for the domain folder
    found: dict[str, int]  # how many items became what
    problems: list[tuple[int, str, str]]  # ``(item, kind, reason)`` of every item with a problem
    notes: list[tuple[int, str]]  # ``(item, what)`` of what was done to sound pictures
    store: ChunkStore  # to be removed once the features are in the domain folder


def encode_chunks(
    job: Job, store: ChunkStore, shard: int, num_shards: int, advance: Callable[[int], None]
) -> None:
    """Encodes the chunks of a shard (every ``num_shards``-th) that are not there yet."""
    wanted = [number for number in store.missing() if number % num_shards == shard]
    chunks = job.encoded(store.span(number) for number in wanted)
    for number, chunk in zip(wanted, chunks, strict=True):
        store.write(number, chunk)
        advance(len(chunk.status))


def encode_in_processes(extraction: Extraction, store: ChunkStore, advance: Callable[[int], None]) -> None:
    """Encodes in the plan's processes, each with its share of the chunks; on GPUs one process for each GPU.

    Raises:
        DataError: A process failed; what the others finished stays.
    """
    context = multiprocessing.get_context("spawn")
    shards = range(extraction.plan.processes)
    running = [context.Process(target=_encode_shard, args=(extraction, shard)) for shard in shards]
    before = store.rows_done()
    for process in running:
        process.start()
    try:
        while any(process.is_alive() for process in running):
            time.sleep(_POLL_SECONDS)
            done = store.rows_done()
            advance(done - before)
            before = done
    finally:
        for process in running:
            if process.is_alive():
                process.terminate()
            process.join()
    if any(process.exitcode for process in running):
        raise DataError(f"{extraction.domain}: an encoding process failed; see its message above, then run again")


def encode_on_ray(extraction: Extraction, store: ChunkStore, advance: Callable[[int], None]) -> None:
    """Encodes the chunks that are not there yet by the workers of a Ray cluster, which see the same folders."""
    workers = extraction.plan.ray_workers
    assert workers is not None, "asked of such plans alone"
    make = partial(_chunk_encoder, extraction)
    for number in on_workers(make, store.missing(), workers, uses_gpu=True):
        span = store.span(number)
        advance(span.stop - span.start)


def _chunk_encoder(extraction: Extraction) -> Work:
    job, store = extraction.job(extraction.plan.encoder.build())

    def encode(number: int) -> None:
        (chunk,) = job.encoded([store.span(number)])
        store.write(number, chunk)

    return encode


def _encode_shard(extraction: Extraction, shard: int) -> None:
    job, store = extraction.job(extraction.plan.encoder.on_gpu(shard).build())
    encode_chunks(job, store, shard, extraction.plan.processes, lambda rows: None)


def collected(extraction: Extraction, job: Job, store: ChunkStore) -> Extracted:
    """Joins all chunks of a finished store.

    Raises:
        DataError: No item has the modality.
    """
    chunks = [store.read(number) for number in range(store.num_chunks)]
    statuses = np.concatenate([chunk.status for chunk in chunks])
    truncated = int(sum(chunk.truncated.sum() for chunk in chunks))
    problems = [
        (store.span(number).start + row + 1, _kind(Status(chunk.status[row])), reason)
        for number, chunk in enumerate(chunks)
        for row, reason in chunk.reasons
    ]
    notes = [
        (store.span(number).start + row + 1, what)
        for number, chunk in enumerate(chunks)
        for row, what in chunk.notes
    ]
    found = {**counts(statuses), **({"cut to the encoder's length": truncated} if truncated else {})}
    found |= Counter(what for _, what in notes)
    present = statuses == Status.OK
    if not present.any():
        told = ", ".join(f"{number} {name}" for name, number in found.items())
        raise DataError(f"{extraction.domain}: no item has {extraction.name} features ({told})")
    made_by: dict[str, Any] = job.recipe.plain()
    drop = extraction.plan.drop
    if extraction.name == VIEW and drop is not None:
        made_by["options"] = {**made_by["options"], "word_drop": drop.share, "seed": drop.seed}
    made_by |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "found": found}
    matrix = FeatureMatrix(StoredRows(store, job.dim), present, job.recipe.encoder, made_by)
    return Extracted(extraction.name, matrix, found, problems, notes, store)


class FilledRows:
    """The features that items have, and those that were made for others, [N, F]."""

    def __init__(self, there: Features, new: StoredRows, is_there: Flags) -> None:
        self._there, self._new, self._is_there = there, new, is_there
        self.shape = new.shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        start, stop, _ = rows.indices(len(self))
        old = np.asarray(self._there[start + 1 : stop + 1], np.float32)
        return np.where(self._is_there[start:stop, None], old, self._new[start:stop])


def filled(domain: Domain, new: Extracted) -> Extracted:
    """The features that the domain has with those that were made for items without.

    Raises:
        ConfigError: They are of another encoder.
    """
    info, is_there = domain.info(new.name), domain.present(new.name)[1:]
    if info.encoder != new.matrix.encoder:
        raise ConfigError(
            f"--missing: {domain.path} has {new.name} features by {info.encoder}, these are by "
            f"{new.matrix.encoder}; use that encoder, or make all of them anew with --overwrite"
        )
    counted = {**new.found, "none known": new.found.get("none known", 0) - int(is_there.sum())}
    counted = {name: number for name, number in {"there before": int(is_there.sum()), **counted}.items() if number}
    rows = FilledRows(domain.features(new.name), StoredRows(new.store, info.dim), is_there)
    matrix = FeatureMatrix(rows, is_there | new.matrix.present, info.encoder, {**info.made_by, "found": counted})
    return replace(new, matrix=matrix, found=counted)


def _kind(status: Status) -> str:
    return "one of several" if status == Status.OK else status.name.lower()
