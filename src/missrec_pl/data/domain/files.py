"""The files of a domain folder, read whole and written block by block: features, items, sequences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES, ModalityInfo
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError

BLOCK_ROWS = 65_536
"""Feature rows held at a time."""
Features: TypeAlias = "npt.NDArray[np.floating[Any]]"
Flags: TypeAlias = npt.NDArray[np.bool_]
Strings: TypeAlias = "Sequence[str] | pa.StringArray"
Lists: TypeAlias = Sequence[Sequence[str]]
ATTRIBUTES = pa.list_(pa.string())
"""Type of the optional columns ``attributes`` and ``further_images`` of ``items.parquet``."""
_SCHEMA = pa.schema(
    {
        "user": pa.int32(),
        "raw_user_id": pa.string(),
        "items": pa.list_(pa.int32()),
        "timestamps": pa.list_(pa.int64()),
    }
)


class FeatureRows(Protocol):
    """A feature matrix [rows, F]: an array, or something that makes its rows when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and width."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> Features: ...


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of one modality that are to be written.

    Attributes:
        rows: [N, F] for items 1..N, or [N+1, F] with a padding row first. Read block by block.
        present: bool [N]; rows of other items are written as zeros.
        encoder: Name of the model that made the features.
        made_by: Whatever else is known of how they were made, as plain values.
    """

    rows: FeatureRows
    present: Flags
    encoder: str
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UserBlock:
    """Some consecutive users of a domain: their chronological items, and the source's id of each."""

    sequences: Sequences
    raw_user_ids: Strings


def read_columns(path: Path, columns: list[str], optional: Sequence[str] = ()) -> pa.Table:
    """Columns of a parquet file, ``optional`` ones if it has them; DataError if it is damaged or lacks others."""
    if not path.is_file():
        raise DataError(f"{path} is missing; prepare the domain again")
    try:
        with pq.ParquetFile(path) as parquet:  # read_table would take a column from the folder's name
            known = parquet.schema_arrow.names
            absent = [name for name in columns if name not in known]
            if absent:
                raise DataError(f"{path} lacks the column {absent[0]!r}; prepare the domain again")
            return parquet.read(columns=[*columns, *(name for name in optional if name in known)])
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: not a readable parquet file ({reason}); prepare the domain again") from error


def map_features(path: Path, info: ModalityInfo, num_items: int) -> Features:
    """A read-only memory map [num_items + 1, F] of a feature file.

    Raises:
        DataError: The file is missing or damaged, does not fit ``info``, or its padding row is not zero.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing; prepare the domain again")
    try:
        rows: Features = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(rows, np.ndarray):  # an .npz archive, which is not unpacked
            raise ValueError("it is an archive")
    except (ValueError, OSError, EOFError, OverflowError, MemoryError) as error:
        raise DataError(f"{path}: truncated or no .npy file ({error}); prepare the domain again") from error
    expected = (num_items + 1, info.dim)
    if rows.shape != expected or rows.dtype != np.dtype(info.dtype):
        raise DataError(
            f"{path}: found {rows.dtype} {rows.shape}, domain.json says "
            f"{info.dtype} {expected}; prepare the domain again"
        )
    if rows[0].any():
        raise DataError(f"{path}: row 0 belongs to padding and has to be zeros; items start at row 1")
    return rows


def write_features(
    folder: Path, matrices: Mapping[str, FeatureMatrix], num_items: int, dtype: str, target: Path, block_rows: int
) -> dict[str, ModalityInfo]:
    """Writes ``features/<name>.npy`` for each matrix in blocks of ``block_rows`` rows, padding row first.

    Raises:
        DataError: Shapes do not fit, or features are NaN, infinite, or zeros of an item that is present.
    """
    (folder / "features").mkdir(exist_ok=True)
    infos = {}
    for name, matrix in matrices.items():
        shape, present = matrix.rows.shape, np.asarray(matrix.present)
        if len(shape) != 2 or len(matrix.rows) not in (num_items, num_items + 1) or not shape[1]:
            raise DataError(f"{target}: {name} features have shape {shape}, expected ({num_items}, F)")
        if present.shape != (num_items,) or present.dtype != np.bool_:
            raise DataError(
                f"{target}: presence of {name} is {present.dtype} {present.shape}, expected bool ({num_items},)"
            )
        file, coverage = f"features/{name}.npy", float(present.mean())
        _write_rows(folder / file, matrix.rows, present, np.dtype(dtype), block_rows, f"{target}: {name}")
        infos[name] = ModalityInfo(name, file, shape[1], dtype, matrix.encoder, coverage, dict(matrix.made_by))
    return infos


def _write_rows(
    path: Path, rows: FeatureRows, present: Flags, dtype: np.dtype[Any], block_rows: int, what: str
) -> None:
    num_items, width = len(present), rows.shape[1]
    first = len(rows) - num_items
    # Written, not mapped: dirty pages of a map would count as this process's memory until the kernel writes them.
    with path.open("wb") as stream:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (num_items + 1, width)}
        np.lib.format.write_array_header_1_0(stream, header)
        np.zeros(width, dtype).tofile(stream)
        for start in range(0, num_items, block_rows):
            here = present[start : start + block_rows]
            given = rows[first + start : first + start + len(here)]
            with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, which is refused
                block = np.where(here[:, None], given, 0).astype(dtype)
            _check_block(block, here, start, what)
            block.tofile(stream)


def _check_block(block: Features, present: Flags, start: int, what: str) -> None:
    for wrong, problem in (
        (~np.isfinite(block).all(axis=1), f"NaN or infinite (as {block.dtype}); extract its features again"),
        (~block.any(axis=1) & present, "all zeros but marked as present; mark it as missing"),
    ):
        if wrong.any():
            row = start + int(np.argmax(wrong))
            raise DataError(f"{what} features of item {row + 1} (row {row}, counted from 0) are {problem}")


def write_items(
    folder: Path,
    raw_item_ids: Strings,
    texts: Strings,
    images: Sequence[str | None] | None,
    presence: Mapping[str, Flags],
    image_urls: Sequence[str | None] | None = None,
    attributes: Lists | None = None,
    further_images: Lists | None = None,
) -> None:
    """Writes ``items.parquet``; it has no column for what is None, but for ``images``."""
    count = len(raw_item_ids)
    columns = {
        "item": pa.array(np.arange(1, count + 1, dtype=np.int32)),
        "raw_id": as_strings(raw_item_ids),
        "text": as_strings(texts),
        "image": pa.nulls(count, pa.string()) if images is None else pa.array(list(images), pa.string()),
        **({} if further_images is None else {"further_images": pa.array(list(further_images), ATTRIBUTES)}),
        **({} if image_urls is None else {"image_url": pa.array(list(image_urls), pa.string())}),
        **({} if attributes is None else {"attributes": pa.array(list(attributes), ATTRIBUTES)}),
        **{f"has_{name}": pa.array(present) for name, present in presence.items()},
    }
    pq.write_table(pa.table(columns), folder / ITEMS, compression="zstd")


def write_sequences(folder: Path, users: Iterable[UserBlock], row_group: int) -> tuple[int, int]:
    """Writes ``sequences.parquet``, ``row_group`` users at a time; returns how many users and interactions."""
    num_users = interactions = 0
    held = _SCHEMA.empty_table()
    with pq.ParquetWriter(folder / SEQUENCES, _SCHEMA, compression="zstd") as writer:
        for block in users:
            held = pa.concat_tables([held, _table(block, num_users)])
            num_users += block.sequences.num_users
            interactions += len(block.sequences.items)
            while len(held) >= row_group:
                writer.write_table(held.slice(0, row_group).combine_chunks(), row_group)
                held = held.slice(row_group)
        if len(held):
            writer.write_table(held.combine_chunks(), row_group)
    return num_users, interactions


def _table(block: UserBlock, first_user: int) -> pa.Table:
    sequences = block.sequences
    offsets = pa.array(sequences.offsets.astype(np.int32))
    items = pa.ListArray.from_arrays(offsets, pa.array(sequences.items.astype(np.int32, copy=False)))
    if sequences.timestamps is None:
        timestamps = pa.nulls(sequences.num_users, pa.list_(pa.int64()))
    else:
        timestamps = pa.ListArray.from_arrays(offsets, pa.array(sequences.timestamps.astype(np.int64, copy=False)))
    users = pa.array(np.arange(first_user, first_user + sequences.num_users, dtype=np.int32))
    return pa.table([users, as_strings(block.raw_user_ids), items, timestamps], schema=_SCHEMA)


def as_strings(values: Strings) -> pa.StringArray:
    """Strings as an Arrow column."""
    return values if isinstance(values, pa.Array) else pa.array(list(values), pa.string())
