"""Finished rows on disk, in chunks, so that a killed extraction can be continued.

A chunk is written under a temporary name and renamed, so a chunk that is there is complete. The folder's name has
a digest of everything that decides about the vectors: with another encoder, option or input, rows start afresh.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.errors import DataError
from missrec_pl.system.documents import parse_json
from missrec_pl.system.files import whole_file

CHUNK_ROWS = 512


class Status(IntEnum):
    """What became of an item; everything but ``OK`` means that it lacks the modality."""

    OK = 0
    NONE = 1
    GONE = 2
    BROKEN = 3
    ABSURD = 4
    UNENCODABLE = 5


_TOLD_OF_ROWS = ("reasons", "notes")
_TOLD = ("encoded", "none known", "file missing", "broken", "absurd", "no finite vector")


def counts(statuses: npt.NDArray[np.uint8]) -> dict[str, int]:
    """How many items became what; kinds that did not occur are left out."""
    found = np.bincount(statuses, minlength=len(Status)).tolist()
    return {name: number for name, number in zip(_TOLD, found, strict=True) if number}


def sentence(found: Mapping[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{number:,} {name}" for name, number in found.items())


@dataclass(frozen=True)
class Chunk:
    """Consecutive items."""

    rows: npt.NDArray[np.float32]  # [R, F]; zeros where the status is not ``OK``
    status: npt.NDArray[np.uint8]  # [R], see :class:`Status`
    truncated: npt.NDArray[np.bool_]  # [R], texts that were longer than the encoder reads
    reasons: list[tuple[int, str]]  # one for each item that has a problem, as ``(row in the chunk, reason)``
    notes: list[tuple[int, str]] = field(default_factory=list)  # what was done to a sound one, such as turning it


class ChunkStore:
    """The chunks of one modality or view, beside the domain folder. ``key`` is all that decides about vectors."""

    def __init__(self, domain: Path, modality: str, key: dict[str, Any], num_items: int) -> None:
        digest = hashlib.sha256(
            json.dumps({**key, "chunk": [CHUNK_ROWS, "notes"]}, sort_keys=True).encode()
        ).hexdigest()
        self._domain, self._modality = domain, modality
        self.folder = domain.parent / f".{domain.name}.features-{modality}-{digest[:16]}"
        self.num_items = num_items
        self.num_chunks = -(-num_items // CHUNK_ROWS)

    def span(self, chunk: int) -> slice:
        """The items (counted from 0) of a chunk."""
        return slice(chunk * CHUNK_ROWS, min((chunk + 1) * CHUNK_ROWS, self.num_items))

    def missing(self) -> list[int]:
        """Chunks that are not there yet."""
        return [chunk for chunk in range(self.num_chunks) if not self._file(chunk).is_file()]

    def rows_done(self) -> int:
        """Items whose chunks are there."""
        missing = (self.span(chunk) for chunk in self.missing())
        return self.num_items - int(sum(span.stop - span.start for span in missing))

    def write(self, number: int, chunk: Chunk) -> None:
        """Keeps a chunk."""
        with whole_file(self._file(number), several_writers=True) as part, part.open("wb") as stream:
            told = [np.array(json.dumps(one)) for one in (chunk.reasons, chunk.notes)]
            arrays = {"rows": chunk.rows, "status": chunk.status, "truncated": chunk.truncated}
            np.savez(stream, reasons=told[0], notes=told[1], **arrays)  # type: ignore[arg-type]

    def read(self, number: int) -> Chunk:
        """A chunk that is there.

        Raises:
            DataError: It is damaged; it is removed, so that another run makes it again.
        """
        try:
            with self._file(number).open("rb") as stream, np.load(stream, allow_pickle=False) as held:
                told = {
                    name: [(int(row), str(what)) for row, what in parse_json(str(held[name]), name, "run again")]
                    for name in _TOLD_OF_ROWS
                }
                return Chunk(held["rows"], held["status"], held["truncated"], **told)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError, DataError) as error:
            self._file(number).unlink()
            raise DataError(f"{self._file(number)} was damaged ({error}) and is removed; run again") from error

    def remove(self) -> None:
        """Removes the chunks, and those of earlier attempts with other options."""
        for folder in self._domain.parent.glob(f".{self._domain.name}.features-{self._modality}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _file(self, chunk: int) -> Path:
        return self.folder / f"{chunk:06}.npz"


class StoredRows:
    """All rows of a complete store, [N, width], read chunk by chunk: what ``FeatureMatrix`` asks for."""

    def __init__(self, store: ChunkStore, width: int) -> None:
        self._store = store
        self.shape = (store.num_items, width)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        start, stop, _ = rows.indices(len(self))
        first, last = start // CHUNK_ROWS, -(-stop // CHUNK_ROWS)
        block = np.concatenate([self._store.read(number).rows for number in range(first, last)])
        return block[start - first * CHUNK_ROWS : stop - first * CHUNK_ROWS]
