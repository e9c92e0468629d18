"""Writing domain folders, all or nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from missrec_pl.data.domain import files
from missrec_pl.data.domain.checks import check_features, check_items, check_users, sha256_of
from missrec_pl.data.domain.files import BLOCK_ROWS, FeatureMatrix, Strings, UserBlock
from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES, FeatureDtype, Manifest, ModalityInfo
from missrec_pl.data.domain.replacing import replacing
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError
from missrec_pl.system.names import check_name

__all__ = ["FeatureMatrix", "UserBlock", "stream_domain", "write_domain"]

_ROW_GROUP = 1 << 20  # users of a row group where all users are in memory anyway
_STREAMED_ROW_GROUP = 1 << 16


def write_domain(path: Path | str, *, sequences: Sequences, raw_user_ids: Sequence[str], **parts: Any) -> Path:
    """Writes a domain folder whose users are in memory; ``parts`` are as for :func:`stream_domain`.

    Args:
        path: The folder to create, which is returned.
        sequences: Chronological items of every user, values 1..N.
        raw_user_ids: The source's ids of users 0..U-1, unique.

    Raises:
        DataError: As :func:`stream_domain`.
    """
    users = [UserBlock(sequences, raw_user_ids)]
    return stream_domain(path, users=users, block_rows=BLOCK_ROWS, row_group=_ROW_GROUP, **parts)


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
    further_images: files.Lists | None = None,
    attributes: files.Lists | None = None,
    created_by: Mapping[str, Any] | None = None,
    dtype: FeatureDtype = "float32",
    overwrite: bool = False,
    block_rows: int = 8192,
    row_group: int | None = None,
) -> Path:
    """Writes a domain folder atomically; in memory are its items, a block of features, a row group of users.

    Args:
        path: The folder to create, which is returned.
        name: Name of the domain.
        raw_item_ids: The source's ids of items 1..N, unique.
        texts: Text of items 1..N, "" where there is none.
        users: All users in order. Ids have to be unique, which is checked within a block only.
        features: One matrix for each modality; none: `prepare features` adds them.
        views: Other features of the same items, such as ``text_worddrop``; no modalities.
        image_paths: Image files of items 1..N, None where there is none.
        image_urls: Addresses of images of items 1..N, None where there is none.
        further_images: Image files of items 1..N after the first; None: no item has several.
        attributes: Attribute values of items 1..N, such as categories; None: nothing is known of them.
        created_by: Information about program and source, kept in ``domain.json``.
        dtype: How features are stored.
        overwrite: Replace an existing folder instead of refusing.
        block_rows: Feature rows read at a time.
        row_group: Users written at a time (65,536).

    Raises:
        DataError: The target exists, the parts do not fit each other, or features are NaN or infinite.
    """
    target, matrices = Path(path), {**features, **(views or {})}
    check_name(name, str(target), "domain")
    check_features([*features, *(views or {})], dtype, target)
    check_items(raw_item_ids, texts, image_paths, target, attributes)
    users = _checked(users, len(raw_item_ids), target)
    with replacing(target, overwrite=overwrite) as folder:
        presence = {key: matrix.present for key, matrix in matrices.items()}
        infos = files.write_features(folder, matrices, len(raw_item_ids), dtype, target, block_rows)
        of_items = (texts, image_paths, presence, image_urls, attributes, further_images)
        files.write_items(folder, raw_item_ids, *of_items)
        counts = files.write_sequences(folder, users, row_group or _STREAMED_ROW_GROUP)
        _write_manifest(folder, name, infos, list(features), len(raw_item_ids), *counts, created_by)
    return target


def _checked(users: Iterable[UserBlock], num_items: int, target: Path) -> Iterator[UserBlock]:
    block = None
    for block in users:
        check_users(block.raw_user_ids, block.sequences, num_items, target)
        yield block
    if block is None:
        raise DataError(f"{target}: no users; the source has to hold at least one sequence")


def _write_manifest(
    folder: Path,
    name: str,
    infos: Mapping[str, ModalityInfo],
    modalities: list[str],
    num_items: int,
    num_users: int,
    interactions: int,
    created_by: Mapping[str, Any] | None,
) -> None:
    written = sorted([ITEMS, SEQUENCES, *(info.file for info in infos.values())])
    Manifest(
        name=name,
        users=num_users,
        items=num_items,
        interactions=interactions,
        modalities={key: infos[key] for key in modalities},
        views={key: info for key, info in infos.items() if key not in modalities},
        sha256={file: sha256_of(folder / file) for file in written},
        created_by=dict(created_by or {}),
    ).write(folder)
