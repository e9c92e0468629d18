"""Reading a domain folder: items, sequences and memory-mapped features of one domain.

Padding item 0 has feature row 0 (zeros); real items are 1..N. No feature matrix is copied into memory.
"""

import hashlib
import json
import mmap
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from missrec_pl.data.domain.checks import check_checksums, check_rows
from missrec_pl.data.domain.files import ATTRIBUTES, Features, map_features, read_columns
from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES, Manifest, ModalityInfo
from missrec_pl.data.sequences import Sequences, lists_of
from missrec_pl.errors import DataError
from missrec_pl.system.lookup import near_names

__all__ = ["Domain", "Sequences"]


class Domain:
    """One domain, read from its folder. Cheap to open and to pickle: features stay on disk until needed."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.name = manifest.name
        self.num_users = manifest.users
        self.num_items = manifest.items
        self.modalities = manifest.modalities
        self.views = manifest.views
        self._maps: dict[str, Features] = {}

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = False) -> "Domain":
        """Opens the folder that holds ``domain.json`` and checks files, shapes, dtypes, id ranges, padding row.

        ``verify`` reads every file: checksums, finite values, zeros where a modality is missing.

        Raises:
            DataError: Something is missing, damaged or inconsistent.
        """
        domain = cls(Path(path), Manifest.read(Path(path)))
        domain._check_structure()
        if verify:
            check_checksums(domain.path, domain.manifest.sha256)
            for name in (*domain.modalities, *domain.views):
                check_rows(domain.features(name), domain.present(name), domain.path / domain.info(name).file)
        return domain

    def _check_structure(self) -> None:
        items = self.flags["item"].to_numpy()
        if len(items) != self.num_items or not np.array_equal(items, np.arange(1, self.num_items + 1)):
            raise DataError(
                f"{self.path / ITEMS}: items have to be 1..{self.num_items} in order, found {len(items)} rows"
            )
        for name in (*self.modalities, *self.views):
            self.features(name)
            if int(self.present(name).sum()) != round(self.info(name).coverage * self.num_items):
                raise DataError(f"{self.path / ITEMS}: has_{name} does not fit the coverage in domain.json")
        sequences, path = self.sequences, self.path / SEQUENCES
        sequences.check(self.num_items, path)
        if (sequences.num_users, len(sequences.items)) != (self.num_users, self.manifest.interactions):
            raise DataError(
                f"{path}: {sequences.num_users} users with {len(sequences.items)} interactions, domain.json says "
                f"{self.num_users} with {self.manifest.interactions}; prepare the domain again"
            )

    @cached_property
    def sequences(self) -> Sequences:
        """Every user's chronological items, item ids 1..N."""
        path = self.path / SEQUENCES
        table = read_columns(path, ["items"], optional=["timestamps"])
        items, offsets = lists_of(table, "items", pa.int32(), path)
        if "timestamps" not in table.column_names or table["timestamps"].null_count == table.num_rows:
            return Sequences(items, offsets)
        timestamps, bounds = lists_of(table, "timestamps", pa.int64(), path)
        if not np.array_equal(bounds, offsets):
            raise DataError(f"{path}: timestamps and items differ in length; prepare it again")
        return Sequences(items, offsets, timestamps)

    def features(self, modality: str) -> Features:
        """A read-only memory map [N+1, F], zeros for padding and missing; DataError if unknown or damaged."""
        if modality not in self._maps:
            info = self.info(modality)
            self._maps[modality] = map_features(self.path / info.file, info, self.num_items)
        return self._maps[modality]

    def present(self, modality: str) -> npt.NDArray[np.bool_]:
        """Which items have the modality or view: [N+1], False for padding; DataError if it is unknown."""
        column = self.flags[f"has_{self.info(modality).name}"].to_numpy(zero_copy_only=False)
        return np.concatenate([[False], column.astype(bool)])

    def texts(self) -> list[str]:
        """Item texts [N+1]; the empty string for padding and for items without text."""
        return ["", *(text or "" for text in self._column(ITEMS, "text"))]

    def image_paths(self) -> list[str]:
        """Image files [N+1] as the preparation saw them; the empty string where there is none."""
        return ["", *(path or "" for path in self._column(ITEMS, "image"))]

    def all_image_paths(self) -> list[list[str]]:
        """Like :meth:`image_paths`, with all files of an item that has several, the first one first."""
        table = read_columns(self.path / ITEMS, [], optional=["further_images"])
        first = [[path] if path else [] for path in self.image_paths()]
        if not table.num_columns:
            return first
        further = [[], *table["further_images"].to_pylist()]
        return [[*one, *(more or [])] for one, more in zip(first, further, strict=True)]

    def attributes(self) -> pa.ListArray | None:
        """Attribute values of items 1..N, null or empty where an item has none; None without such a column.

        Raises:
            DataError: The column holds something else than lists of strings.
        """
        path = self.path / ITEMS
        table = read_columns(path, [], optional=["attributes"])
        if not table.num_columns:
            return None
        column = table["attributes"]
        if column.type != ATTRIBUTES:
            raise DataError(
                f"{path}: attributes are {column.type}, expected {ATTRIBUTES}; prepare the domain again"
            )
        return pa.concat_arrays(column.chunks)

    def raw_item_ids(self) -> list[str]:
        """The source's item ids [N+1]; the empty string for padding."""
        return ["", *self._column(ITEMS, "raw_id")]

    def raw_user_ids(self) -> list[str]:
        """The source's user ids [U]."""
        return self._column(SEQUENCES, "raw_user_id")

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of item ids, which modalities items have, features, attributes, sequences: what a network sees.

        The same for the same data, wherever it lies and whichever version of a library wrote the files.
        """
        digest = hashlib.sha256("\0".join(self.raw_item_ids()).encode())
        for name in (*self.modalities, *self.views):
            digest.update(f"\0{name}\0{self.manifest.sha256[self.info(name).file]}\0".encode())
            digest.update(self.present(name).tobytes())
        if (attributes := self.attributes()) is not None:
            digest.update(json.dumps(attributes.to_pylist()).encode())
        for array in (self.sequences.items.astype("<i4"), self.sequences.offsets.astype("<i8")):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def file_fingerprint(self) -> str:
        """Sha256 over the hashes of all files: what checkpoints named before there was :attr:`fingerprint`."""
        lines = "".join(f"{file}\0{digest}\n" for file, digest in sorted(self.manifest.sha256.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def __repr__(self) -> str:
        counts = f"users={self.num_users}, items={self.num_items}"
        return f"Domain({self.name!r}, {counts}, modalities={list(self.modalities)})"

    def __getstate__(self) -> dict[str, Any]:
        """Leaves memory maps and tables behind: a loader worker maps the files itself."""
        return {"path": self.path, "manifest": self.manifest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], state["manifest"])  # type: ignore[misc]

    def info(self, name: str) -> ModalityInfo:
        """What is known of a modality or view; DataError if the domain has none of this name."""
        known = {**self.modalities, **self.views}
        if name not in known:
            raise DataError(f"domain {self.path} has no modality {name!r}; {near_names(name, list(known))}")
        return known[name]

    @cached_property
    def flags(self) -> pa.Table:
        """Columns ``item`` and ``has_<modality>`` of items.parquet."""
        names = [f"has_{name}" for name in (*self.modalities, *self.views)]
        return read_columns(self.path / ITEMS, ["item", *names])

    def _column(self, file: str, column: str) -> list[str]:
        values: list[str] = read_columns(self.path / file, [column])[column].to_pylist()
        return values

    def forget_sequences(self) -> None:
        """Lets go of the sequences; they are read again when asked for."""
        self.__dict__.pop("sequences", None)
        pa.default_memory_pool().release_unused()  # Arrow would keep the memory for its next file

    def forget_features(self) -> None:
        """Lets go of the memory maps; they are opened again when asked for."""
        self._maps.clear()

    def release_pages(self, modality: str) -> None:
        """Takes a map's pages out of this process's memory; the kernel still has what it cached of the file.

        A few thousand scattered rows map nearly the whole file: the kernel maps 16 pages around each.
        """
        pages = getattr(self._maps.get(modality), "_mmap", None)
        if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)
