"""Writing domain folders, all or nothing."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.data.atomic import replacing
from missrec_pl.data.domain_checks import sha256_of
from missrec_pl.data.domain_manifest import ITEMS, SEQUENCES, Manifest, ModalityInfo
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError

_BLOCK_ROWS = 65_536
_DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of one modality on their way into a domain folder.

    Attributes:
        rows: [N, F] for items 1..N, or [N+1, F] with a padding row first. Read block by block.
        present: bool [N]; rows of other items are written as zeros.
        encoder: Name of the model that made the features.
    """

    rows: npt.NDArray[np.floating[Any]]
    present: npt.NDArray[np.bool_]
    encoder: str


def write_domain(
    path: Path | str,
    *,
    name: str,
    raw_item_ids: Sequence[str],
    texts: Sequence[str],
    sequences: Sequences,
    raw_user_ids: Sequence[str],
    features: Mapping[str, FeatureMatrix],
    views: Mapping[str, FeatureMatrix] | None = None,
    image_paths: Sequence[str | None] | None = None,
    created_by: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
) -> Path:
    """Writes a domain folder atomically.

    Args:
        path: The folder to create.
        name: Name of the domain.
        raw_item_ids: The source's ids of items 1..N, unique.
        texts: Text of items 1..N, "" where there is none.
        sequences: Chronological items of every user, values 1..N.
        raw_user_ids: The source's ids of users 0..U-1, unique.
        features: One matrix for each modality.
        views: Other features of the same items, such as ``text_worddrop``; no modalities.
        image_paths: Image files of items 1..N, None where there is none.
        created_by: Information about program and source, kept in ``domain.json``.
        dtype: How features are stored: ``float32`` or ``float16``.
        overwrite: Replace an existing folder instead of refusing.

    Returns:
        The path of the folder.

    Raises:
        DataError: The target exists, the parts do not fit each other, or features are NaN or infinite.
    """
    target = Path(path)
    if dtype not in _DTYPES:
        raise DataError(f"features are stored as float32 or float16, not {dtype!r}")
    views = views or {}
    images = image_paths if image_paths is not None else [None] * len(raw_item_ids)
    _check_ids(raw_item_ids, texts, images, raw_user_ids, sequences, target)
    _check_names([*features, *views], target)
    with replacing(target, overwrite=overwrite) as folder:
        (folder / "features").mkdir()
        infos = {
            key: _write_features(folder, key, matrix, len(raw_item_ids), dtype, target)
            for key, matrix in {**features, **views}.items()
        }
        presence = {key: matrix.present for key, matrix in {**features, **views}.items()}
        _write_items(folder, raw_item_ids, texts, images, presence)
        _write_sequences(folder, sequences, raw_user_ids)
        Manifest(
            name=name,
            users=sequences.num_users,
            items=len(raw_item_ids),
            interactions=len(sequences.items),
            modalities={key: infos[key] for key in features},
            views={key: infos[key] for key in views},
            sha256={
                file: sha256_of(folder / file)
                for file in sorted([ITEMS, SEQUENCES, *(i.file for i in infos.values())])
            },
            created_by=dict(created_by or {}),
        ).write(folder)
    return target


def _check_ids(
    raw_item_ids: Sequence[str],
    texts: Sequence[str],
    images: Sequence[str | None],
    raw_user_ids: Sequence[str],
    sequences: Sequences,
    target: Path,
) -> None:
    if not raw_item_ids:
        raise DataError(f"{target}: a domain needs at least one item")
    for what, found in (("texts", len(texts)), ("image paths", len(images))):
        if found != len(raw_item_ids):
            raise DataError(f"{target}: {found} {what} for {len(raw_item_ids)} items")
    if len(raw_user_ids) != sequences.num_users:
        raise DataError(f"{target}: {len(raw_user_ids)} raw user ids for {sequences.num_users} sequences")
    for what, ids in (("item", raw_item_ids), ("user", raw_user_ids)):
        if len(set(ids)) != len(ids):
            seen: set[str] = set()
            twice = next(one for one in ids if one in seen or seen.add(one))  # type: ignore[func-returns-value]
            raise DataError(f"{target}: raw {what} id {twice!r} occurs twice; ids have to be unique")
    sequences.check(len(raw_item_ids), target)


def _check_names(names: list[str], target: Path) -> None:
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise DataError(f"{target}: modality name {name!r}; use lower-case letters, digits and _")
    if len(set(names)) != len(names):
        raise DataError(f"{target}: a view has the name of a modality; give it another")


def _write_features(
    folder: Path, name: str, matrix: FeatureMatrix, num_items: int, dtype: str, target: Path
) -> ModalityInfo:
    if matrix.rows.ndim != 2 or len(matrix.rows) not in (num_items, num_items + 1) or not matrix.rows.shape[1]:
        raise DataError(f"{target}: {name} features have shape {matrix.rows.shape}, expected ({num_items}, F)")
    present = np.asarray(matrix.present)
    if present.shape != (num_items,) or present.dtype != np.bool_:
        raise DataError(
            f"{target}: presence of {name} is {present.dtype} {present.shape}, expected bool ({num_items},)"
        )
    rows = matrix.rows[len(matrix.rows) - num_items :]
    info = ModalityInfo(
        name=name,
        file=f"features/{name}.npy",
        dim=rows.shape[1],
        dtype=dtype,
        encoder=matrix.encoder,
        coverage=float(present.mean()),
    )
    shape = (num_items + 1, info.dim)
    out = np.lib.format.open_memmap(folder / info.file, mode="w+", dtype=np.dtype(dtype), shape=shape)
    for start in range(0, num_items, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, num_items)
        out[start + 1 : stop + 1] = _clean_block(rows[start:stop], present[start:stop], start, name, dtype, target)
    out.flush()
    return info


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


def _write_items(
    folder: Path,
    raw_item_ids: Sequence[str],
    texts: Sequence[str],
    images: Sequence[str | None],
    presence: Mapping[str, npt.NDArray[np.bool_]],
) -> None:
    columns = {
        "item": pa.array(np.arange(1, len(raw_item_ids) + 1, dtype=np.int32)),
        "raw_id": pa.array(list(raw_item_ids), pa.string()),
        "text": pa.array(list(texts), pa.string()),
        "image": pa.array(list(images), pa.string()),
        **{f"has_{name}": pa.array(present) for name, present in presence.items()},
    }
    pq.write_table(pa.table(columns), folder / ITEMS, compression="zstd")


def _write_sequences(folder: Path, sequences: Sequences, raw_user_ids: Sequence[str]) -> None:
    offsets = pa.array(sequences.offsets.astype(np.int32))
    items = pa.ListArray.from_arrays(offsets, pa.array(sequences.items.astype(np.int32, copy=False)))
    if sequences.timestamps is None:
        timestamps = pa.nulls(sequences.num_users, pa.list_(pa.int64()))
    else:
        timestamps = pa.ListArray.from_arrays(offsets, pa.array(sequences.timestamps.astype(np.int64, copy=False)))
    columns = {
        "user": pa.array(np.arange(sequences.num_users, dtype=np.int32)),
        "raw_user_id": pa.array(list(raw_user_ids), pa.string()),
        "items": items,
        "timestamps": timestamps,
    }
    pq.write_table(pa.table(columns), folder / SEQUENCES, compression="zstd")
