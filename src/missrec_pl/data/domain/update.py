"""Adding features, picture paths or attributes to a domain folder: the new folder replaces the old one whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from missrec_pl.data.domain.checks import check_features, sha256_of
from missrec_pl.data.domain.files import (
    ATTRIBUTES,
    BLOCK_ROWS,
    FeatureMatrix,
    Lists,
    read_columns,
    write_features,
)
from missrec_pl.data.domain.manifest import ITEMS, MANIFEST, FeatureDtype, Manifest
from missrec_pl.data.domain.replacing import real_path, replacing
from missrec_pl.errors import DataError
from missrec_pl.system.names import is_within


def add_features(
    path: Path,
    features: Mapping[str, FeatureMatrix],
    views: Mapping[str, FeatureMatrix] | None = None,
    *,
    dtype: FeatureDtype = "float32",
) -> None:
    """Adds modalities and views to a domain folder, or replaces those of the same names.

    Raises:
        DataError: The folder is damaged, or features do not fit it; then it stays as it was.
    """
    path = real_path(path)
    manifest = Manifest.read(path)
    new = {**features, **(views or {})}
    check_features(list(new), dtype, path)
    with replacing(path, overwrite=True) as folder:
        _link(path, folder, {ITEMS, MANIFEST, *(f"features/{name}.npy" for name in new)})
        infos = write_features(folder, new, manifest.items, dtype, path, BLOCK_ROWS)
        _rewrite_items(path, folder, {f"has_{name}": pa.array(matrix.present) for name, matrix in new.items()})
        kept = {name: info for name, info in manifest.modalities.items() if name not in new}
        kept_views = {name: info for name, info in manifest.views.items() if name not in new}
        changed = sorted({ITEMS, *(info.file for info in infos.values())})
        replace(
            manifest,
            modalities={**kept, **{name: infos[name] for name in features}},
            views={**kept_views, **{name: infos[name] for name in views or {}}},
            sha256={**manifest.sha256, **{file: sha256_of(folder / file) for file in changed}},
        ).write(folder)


def set_image_paths(path: Path, images: Sequence[str | None]) -> None:
    """Replaces the picture files that ``items.parquet`` names by those of items 1..N, None where there is none.

    Raises:
        DataError: The folder is damaged, or the number of paths is another than N.
    """
    _replace_column(path, "image", pa.array(list(images), pa.string()), "image paths")


def set_attributes(path: Path, attributes: Lists) -> None:
    """Adds or replaces the attribute values of items 1..N, such as categories; an empty list where there is none.

    Raises:
        DataError: The folder is damaged, or the number of lists is another than N.
    """
    _replace_column(path, "attributes", pa.array(list(attributes), ATTRIBUTES), "lists of attributes")


def _replace_column(path: Path, name: str, column: pa.Array, what: str) -> None:
    path = real_path(path)
    manifest = Manifest.read(path)
    if len(column) != manifest.items:
        raise DataError(f"{path}: {len(column)} {what} for {manifest.items} items")
    with replacing(path, overwrite=True) as folder:
        _link(path, folder, {ITEMS, MANIFEST})
        _rewrite_items(path, folder, {name: column})
        replace(manifest, sha256={**manifest.sha256, ITEMS: sha256_of(folder / ITEMS)}).write(folder)


def _link(path: Path, folder: Path, left_out: set[str]) -> None:
    """Hard links to all other files: no copy of the features, and the old folder can go."""
    for source in path.rglob("*"):
        name = source.relative_to(path).as_posix()
        if source.is_dir():
            (folder / name).mkdir(exist_ok=True)
        elif name not in left_out:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, folder / name)
            except OSError:  # a file system without hard links
                shutil.copy2(source, folder / name)


def _rewrite_items(path: Path, folder: Path, columns: Mapping[str, pa.Array]) -> None:
    with pq.ParquetFile(path / ITEMS) as parquet:
        table = parquet.read()
    known = dict(zip(table.column_names, table.columns, strict=True))
    pq.write_table(pa.table({**known, **columns}), folder / ITEMS, compression="zstd")


def image_files(path: Path, stored: Sequence[str], folders: Sequence[Path] = ()) -> list[Path | None]:
    """Where the picture files that ``items.parquet`` names are; relative ones count from the domain folder.

    Args:
        path: The domain folder.
        stored: The names, "" where there is none.
        folders: Where files may lie, besides in the domain folder and in the folders beside it.

    Raises:
        DataError: A file lies elsewhere, links followed: data does not choose what is read of a machine.
    """
    folders = [Path(os.path.realpath(path)).parent, *folders]
    files = [path / name if name else None for name in stored]
    parents = {file.parent: is_within(file.parent, folders) for file in files if file is not None and file.name}
    for file in files:
        if file is None:
            continue
        is_safe = "\0" not in str(file) and parents.get(file.parent, False)
        if not is_safe or (file.is_symlink() and not is_within(file, folders)):
            raise DataError(
                f"{path / ITEMS} names the picture {str(file)!a}, which lies outside of {folders[0]}; if that "
                "is right, pass --image-folder with the folder that holds the pictures"
            )
    return files


def image_urls(path: Path) -> list[str | None]:
    """Addresses of the pictures of items 1..N, None where unknown; DataError if the domain has none."""
    addresses = known_image_urls(path)
    if addresses is None:
        raise DataError(
            f"{path / ITEMS} has no column image_url: prepare the domain again with metadata that has "
            "addresses (Amazon), or with --image-url COLUMN"
        )
    return addresses


def known_image_urls(path: Path) -> list[str | None] | None:
    """Like :func:`image_urls`, but None if the domain has no addresses."""
    table = read_columns(path / ITEMS, [], optional=["image_url"])
    return table["image_url"].to_pylist() if table.num_columns else None
