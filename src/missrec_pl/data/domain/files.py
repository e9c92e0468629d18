"""The files of a domain folder, written block by block: features, items, sequences."""

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

Strings: TypeAlias = "Sequence[str] | pa.StringArray"


class FeatureRows(Protocol):
    """What is asked of a feature matrix: an array has it, and so can something that makes rows when asked."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and width."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.floating[Any]]: ...


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of one modality on their way into a domain folder.

    Attributes:
        rows: [N, F] for items 1..N, or [N+1, F] with a padding row first. Read block by block.
        present: bool [N]; rows of other items are written as zeros.
        encoder: Name of the model that made the features.
        made_by: Whatever else is known of how they were made, as plain values.
    """

    rows: FeatureRows
    present: npt.NDArray[np.bool_]
    encoder: str
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UserBlock:
    """Some consecutive users of a domain.

    Attributes:
        sequences: Their chronological items.
        raw_user_ids: The source's id of each.
    """

    sequences: Sequences
    raw_user_ids: Strings


def write_features(
    folder: Path, name: str, matrix: FeatureMatrix, num_items: int, dtype: str, target: Path, block_rows: int
) -> ModalityInfo:
    """Writes ``features/<name>.npy`` in blocks of ``block_rows`` rows, padding row first.

    Raises:
        DataError: Shapes do not fit, or features are NaN, infinite, or zeros of an item that is present.
    """
    shape, present = matrix.rows.shape, np.asarray(matrix.present)
    if len(shape) != 2 or len(matrix.rows) not in (num_items, num_items + 1) or not shape[1]:
        raise DataError(f"{target}: {name} features have shape {shape}, expected ({num_items}, F)")
    if present.shape != (num_items,) or present.dtype != np.bool_:
        raise DataError(
            f"{target}: presence of {name} is {present.dtype} {present.shape}, expected bool ({num_items},)"
        )
    file, width, first = f"features/{name}.npy", shape[1], len(matrix.rows) - num_items
    # Written, not mapped: dirty pages of a map would count as this process's memory until the kernel writes them.
    with (folder / file).open("wb") as stream:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": (num_items + 1, width)}
        np.lib.format.write_array_header_1_0(stream, header)
        np.zeros(width, dtype).tofile(stream)
        for start in range(0, num_items, block_rows):
            stop = min(start + block_rows, num_items)
            rows = matrix.rows[first + start : first + stop]
            _clean_block(rows, present[start:stop], start, name, dtype, target).tofile(stream)
    coverage = float(present.mean())
    return ModalityInfo(name, file, width, dtype, matrix.encoder, coverage, dict(matrix.made_by))


def _clean_block(
    rows: npt.NDArray[np.floating[Any]],
    present: npt.NDArray[np.bool_],
    start: int,
    name: str,
    dtype: str,
    target: Path,
) -> npt.NDArray[np.floating[Any]]:
    with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite and is named below
        block = np.where(present[:, None], rows, 0).astype(dtype)
    for wrong, what in (
        (~np.isfinite(block).all(axis=1), f"NaN or infinite (as {dtype}); extract its features again"),
        (~block.any(axis=1) & present, "all zeros but marked as present; mark it as missing"),
    ):
        if wrong.any():
            row = start + int(np.argmax(wrong))
            raise DataError(f"{target}: {name} features of item {row + 1} (row {row}, counted from 0) are {what}")
    return block


def write_items(
    folder: Path,
    raw_item_ids: Strings,
    texts: Strings,
    images: Sequence[str | None] | None,
    presence: Mapping[str, npt.NDArray[np.bool_]],
    image_urls: Sequence[str | None] | None = None,
) -> None:
    """Writes ``items.parquet``; ``images`` None means no item has an image file.

    Addresses of images make the column ``image_url``, which is absent without them.
    """
    count = len(raw_item_ids)
    columns = {
        "item": pa.array(np.arange(1, count + 1, dtype=np.int32)),
        "raw_id": as_strings(raw_item_ids),
        "text": as_strings(texts),
        "image": pa.nulls(count, pa.string()) if images is None else pa.array(list(images), pa.string()),
        **({} if image_urls is None else {"image_url": pa.array(list(image_urls), pa.string())}),
        **{f"has_{name}": pa.array(present) for name, present in presence.items()},
    }
    pq.write_table(pa.table(columns), folder / ITEMS, compression="zstd")


def write_sequences(folder: Path, users: Iterable[UserBlock], row_group: int) -> tuple[int, int]:
    """Writes ``sequences.parquet``.

    Args:
        folder: The domain folder.
        users: All users in order; how they are cut into blocks makes no difference to the file.
        row_group: Users held and written at a time.

    Returns:
        Numbers of users and of interactions.
    """
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


_SCHEMA = pa.schema(
    {
        "user": pa.int32(),
        "raw_user_id": pa.string(),
        "items": pa.list_(pa.int32()),
        "timestamps": pa.list_(pa.int64()),
    }
)


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
