"""A domain folder opened for reading: items, sequences and memory-mapped features of one domain.

Padding item 0 has feature row 0 (zeros); real items are 1..N. No feature matrix is copied into memory.
"""

import hashlib
import mmap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.data.domain.checks import check_contents, check_structure
from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES, Manifest, ModalityInfo
from missrec_pl.data.sequences import Sequences, lists_of
from missrec_pl.errors import DataError
from missrec_pl.system.lookup import near_names

__all__ = ["Domain", "ModalityInfo", "Sequences"]


class Domain:
    """One domain, read from its folder. Cheap to open and to pickle: features stay on disk until needed."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self.name = manifest.name
        self.num_users = manifest.users
        self.num_items = manifest.items
        self.modalities: dict[str, ModalityInfo] = manifest.modalities
        self.views: dict[str, ModalityInfo] = manifest.views
        self._maps: dict[str, npt.NDArray[np.floating[Any]]] = {}

    @classmethod
    def open(cls, path: Path | str, *, verify: bool = False) -> "Domain":
        """Opens a domain folder and checks its structure: files, shapes, dtypes, id ranges, padding row.

        Args:
            path: The folder that holds ``domain.json``.
            verify: Also read every file: checksums, finite values, zeros where a modality is missing.

        Raises:
            DataError: Something is missing, damaged or inconsistent.
        """
        folder = Path(path)
        domain = cls(folder, Manifest.read(folder))
        check_structure(domain)
        if verify:
            check_contents(domain)
        return domain

    @cached_property
    def sequences(self) -> Sequences:
        """Every user's chronological items, item ids 1..N."""
        table = self._read(SEQUENCES, ["items"], optional=["timestamps"])
        items, offsets = lists_of(table, "items", pa.int32(), self.path / SEQUENCES)
        timestamps = None
        if "timestamps" in table.column_names and table["timestamps"].null_count < table.num_rows:
            timestamps, bounds = lists_of(table, "timestamps", pa.int64(), self.path / SEQUENCES)
            if not np.array_equal(bounds, offsets):
                raise DataError(
                    f"{self.path / SEQUENCES}: timestamps and items differ in length; prepare it again"
                )
        return Sequences(items, offsets, timestamps)

    def features(self, modality: str) -> npt.NDArray[np.floating[Any]]:
        """Features of a modality or view: a read-only memory map [N+1, F]; padding and missing are zeros.

        Raises:
            DataError: The domain has no such modality, or its file does not fit ``domain.json``.
        """
        if modality not in self._maps:
            self._maps[modality] = self._open_features(self.info(modality))
        return self._maps[modality]

    def present(self, modality: str) -> npt.NDArray[np.bool_]:
        """True for the items that have the modality (or view): [N+1], False for padding.

        Raises:
            DataError: The domain has no such modality.
        """
        column = self.flags[f"has_{self.info(modality).name}"].to_numpy(zero_copy_only=False)
        return np.concatenate([[False], column.astype(bool)])

    def texts(self) -> list[str]:
        """Item texts [N+1]; the empty string for padding and for items without text."""
        return ["", *(text or "" for text in self._column(ITEMS, "text"))]

    def image_paths(self) -> list[str]:
        """Image files [N+1] as the preparation saw them; the empty string where there is none."""
        return ["", *(path or "" for path in self._column(ITEMS, "image"))]

    def raw_item_ids(self) -> list[str]:
        """The source's item ids [N+1]; the empty string for padding."""
        return ["", *self._column(ITEMS, "raw_id")]

    def raw_user_ids(self) -> list[str]:
        """The source's user ids [U]."""
        return self._column(SEQUENCES, "raw_user_id")

    @cached_property
    def fingerprint(self) -> str:
        """Sha256 of item ids, which modalities items have, features and sequences: what a network sees.

        The same for the same data, wherever it lies and whichever version of a library wrote the files.
        """
        digest = hashlib.sha256("\0".join(self.raw_item_ids()).encode())
        for name in (*self.modalities, *self.views):
            digest.update(f"\0{name}\0{self.manifest.sha256[self.info(name).file]}\0".encode())
            digest.update(self.present(name).tobytes())
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
        """What is known of a modality or view.

        Raises:
            DataError: The domain has no such modality.
        """
        known = {**self.modalities, **self.views}
        if name not in known:
            raise DataError(f"domain {self.path} has no modality {name!r}; {near_names(name, list(known))}")
        return known[name]

    @cached_property
    def flags(self) -> pa.Table:
        """Columns ``item`` and ``has_<modality>`` of items.parquet."""
        names = [f"has_{name}" for name in (*self.modalities, *self.views)]
        return self._read(ITEMS, ["item", *names])

    def _column(self, file: str, column: str) -> list[str]:
        values: list[str] = self._read(file, [column])[column].to_pylist()
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

    def _read(self, file: str, columns: list[str], optional: Sequence[str] = ()) -> pa.Table:
        path = self.path / file
        if not path.is_file():
            raise DataError(f"{path} is missing; prepare the domain again")
        try:
            # A file of its own instead of read_table: that one would take a column from the folder's name.
            with pq.ParquetFile(path) as parquet:
                known = parquet.schema_arrow.names
                absent = [name for name in columns if name not in known]
                if absent:
                    raise DataError(f"{path} lacks the column {absent[0]!r}; prepare the domain again")
                return parquet.read(columns=[*columns, *(name for name in optional if name in known)])
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"{path}: not a readable parquet file ({reason}); prepare the domain again") from error

    def _open_features(self, info: ModalityInfo) -> npt.NDArray[np.floating[Any]]:
        path = self.path / info.file
        if not path.is_file():
            raise DataError(f"{path} is missing; prepare the domain again")
        try:
            rows: npt.NDArray[np.floating[Any]] = np.load(path, mmap_mode="r", allow_pickle=False)
            if not isinstance(rows, np.ndarray):  # an .npz archive, which is not unpacked
                raise ValueError("it is an archive")
        except (ValueError, OSError, EOFError, OverflowError, MemoryError) as error:
            raise DataError(f"{path}: truncated or no .npy file ({error}); prepare the domain again") from error
        expected = (self.num_items + 1, info.dim)
        if rows.shape != expected or rows.dtype != np.dtype(info.dtype):
            raise DataError(
                f"{path}: found {rows.dtype} {rows.shape}, domain.json says "
                f"{info.dtype} {expected}; prepare the domain again"
            )
        if rows[0].any():
            raise DataError(f"{path}: row 0 belongs to padding and has to be zeros; items start at row 1")
        return rows
