"""Writing domain folders, all or nothing."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from missrec_pl.data.domain.checks import sha256_of
from missrec_pl.data.domain.files import (
    FeatureMatrix,
    FeatureRows,
    Strings,
    UserBlock,
    write_features,
    write_items,
    write_sequences,
)
from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES, Manifest, ModalityInfo
from missrec_pl.data.domain.replacing import replacing
from missrec_pl.data.domain.writer_checks import check_features, check_items, check_users, checked
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError

__all__ = ["FeatureMatrix", "FeatureRows", "UserBlock", "stream_domain", "write_domain"]

_BLOCK_ROWS = 65_536
_ROW_GROUP = 1 << 20  # users of a row group where all users are in memory anyway
_STREAMED_ROW_GROUP = 1 << 16


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
    check_features([*features, *(views or {})], dtype, target)
    check_items(raw_item_ids, texts, image_paths, target)
    check_users(raw_user_ids, sequences, len(raw_item_ids), target)
    with replacing(target, overwrite=overwrite) as folder:
        infos = _write_items_and_features(
            folder, raw_item_ids, texts, image_paths, {**features, **(views or {})}, dtype, target, _BLOCK_ROWS
        )
        users, interactions = write_sequences(folder, [UserBlock(sequences, raw_user_ids)], _ROW_GROUP)
        _write_manifest(folder, name, infos, list(features), users, interactions, created_by)
    return target


def stream_domain(
    path: Path | str,
    *,
    name: str,
    raw_item_ids: Strings,
    texts: Strings,
    users: Iterable[UserBlock],
    features: Mapping[str, FeatureMatrix],
    views: Mapping[str, FeatureMatrix] | None = None,
    image_paths: Sequence[str | None] | None = None,
    image_urls: Sequence[str | None] | None = None,
    created_by: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    block_rows: int = 8192,
) -> Path:
    """Writes a domain folder atomically from users and features that need not fit into memory.

    Held at a time: the items' ids and texts, one block of features, 65,536 users and their sequences.

    Args:
        path: The folder to create.
        name: Name of the domain.
        raw_item_ids: The source's ids of items 1..N, unique.
        texts: Text of items 1..N, "" where there is none.
        users: All users in order. Their blocks make no difference to the files. Ids have to be unique; that is
            checked within a block only.
        features: One matrix for each modality; none: `prepare features` adds them.
        views: Other features of the same items, such as ``text_worddrop``; no modalities.
        image_paths: Image files of items 1..N, None where there is none.
        image_urls: Addresses of images of items 1..N, None where there is none.
        created_by: Information about program and source, kept in ``domain.json``.
        dtype: How features are stored: ``float32`` or ``float16``.
        overwrite: Replace an existing folder instead of refusing.
        block_rows: Feature rows read at a time.

    Returns:
        The path of the folder.

    Raises:
        DataError: The target exists, the parts do not fit each other, or features are NaN or infinite.
    """
    target = Path(path)
    check_features([*features, *(views or {})], dtype, target)
    check_items(raw_item_ids, texts, image_paths, target)
    with replacing(target, overwrite=overwrite) as folder:
        matrices = {**features, **(views or {})}
        infos = _write_items_and_features(
            folder, raw_item_ids, texts, image_paths, matrices, dtype, target, block_rows, image_urls
        )
        blocks = checked(users, len(raw_item_ids), target)
        num_users, interactions = write_sequences(folder, blocks, _STREAMED_ROW_GROUP)
        if not num_users:
            raise DataError(f"{target}: no users; the source has to hold at least one sequence")
        _write_manifest(folder, name, infos, list(features), num_users, interactions, created_by)
    return target


def _write_items_and_features(
    folder: Path,
    raw_item_ids: Strings,
    texts: Strings,
    images: Sequence[str | None] | None,
    matrices: Mapping[str, FeatureMatrix],
    dtype: str,
    target: Path,
    block_rows: int,
    image_urls: Sequence[str | None] | None = None,
) -> dict[str, ModalityInfo]:
    (folder / "features").mkdir()
    count = len(raw_item_ids)
    infos = {
        key: write_features(folder, key, matrix, count, dtype, target, block_rows)
        for key, matrix in matrices.items()
    }
    presence = {key: one.present for key, one in matrices.items()}
    write_items(folder, raw_item_ids, texts, images, presence, image_urls)
    return infos


def _write_manifest(
    folder: Path,
    name: str,
    infos: Mapping[str, ModalityInfo],
    modalities: list[str],
    users: int,
    interactions: int,
    created_by: Mapping[str, Any] | None,
) -> None:
    files = sorted([ITEMS, SEQUENCES, *(info.file for info in infos.values())])
    Manifest(
        name=name,
        users=users,
        items=pq.read_metadata(folder / ITEMS).num_rows,
        interactions=interactions,
        modalities={key: infos[key] for key in modalities},
        views={key: info for key, info in infos.items() if key not in modalities},
        sha256={file: sha256_of(folder / file) for file in files},
        created_by=dict(created_by or {}),
    ).write(folder)
