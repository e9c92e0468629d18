"""Checks of a domain folder: of its parts before they are written, of its files when they are verified."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.files import BLOCK_ROWS, Features, Lists, Strings, as_strings
from missrec_pl.data.domain.manifest import DTYPES
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import DataError


def check_features(names: list[str], dtype: str, target: Path) -> None:
    """Raises DataError for a name that is no file name or is taken, or for a dtype that is not stored."""
    if dtype not in DTYPES:
        raise DataError(f"features are stored as {' or '.join(DTYPES)}, not {dtype!r}")
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise DataError(f"{target}: modality name {name!r}; use lower-case letters, digits and _")
    if len(set(names)) != len(names):
        raise DataError(f"{target}: a view has the name of a modality; give it another")


def check_items(
    raw_item_ids: Strings,
    texts: Strings,
    images: Sequence[str | None] | None,
    target: Path,
    attributes: Lists | None = None,
) -> None:
    """Raises DataError if there are no items, columns differ in length, or an id occurs twice."""
    if not len(raw_item_ids):
        raise DataError(f"{target}: a domain needs at least one item")
    for what, found in (("texts", texts), ("image paths", images), ("lists of attributes", attributes)):
        if found is not None and len(found) != len(raw_item_ids):
            raise DataError(f"{target}: {len(found)} {what} for {len(raw_item_ids)} items")
    _check_unique(raw_item_ids, "item", target)


def check_users(raw_user_ids: Strings, sequences: Sequences, num_items: int, target: Path) -> None:
    """Raises DataError if sequences do not fit their ids or the catalogue, or an id occurs twice."""
    if len(raw_user_ids) != sequences.num_users:
        raise DataError(f"{target}: {len(raw_user_ids)} raw user ids for {sequences.num_users} sequences")
    _check_unique(raw_user_ids, "user", target)
    sequences.check(num_items, target)


def check_checksums(folder: Path, sha256: Mapping[str, str]) -> None:
    """Raises DataError for a file that is missing or changed; ``sha256`` holds the checksum of each file."""
    for file, expected in sha256.items():
        path = folder / file
        if not path.is_file():
            raise DataError(f"{path} is missing; prepare the domain again")
        found = sha256_of(path)
        if found != expected:
            raise DataError(
                f"{path}: checksum {found[:12]} is not {expected[:12]} as in domain.json: the file was "
                "damaged or changed; prepare the domain again"
            )


def check_rows(rows: Features, present: npt.NDArray[np.bool_], path: Path) -> None:
    """Raises DataError for feature rows [N+1, F] that are not finite, or do not fit ``present`` [N+1].

    Rows of items that have the modality are not zeros, all others are. ``path`` is their file.
    """
    for start in range(0, len(rows), BLOCK_ROWS):
        block = np.asarray(rows[start : start + BLOCK_ROWS])
        here = present[start : start + BLOCK_ROWS]
        nonzero = block.any(axis=1)
        for wrong, what in (
            (~np.isfinite(block).all(axis=1), "NaN or infinite features"),
            (nonzero & ~here, "features although it is marked as missing"),
            (~nonzero & here, "only zeros although it is marked as present"),
        ):
            if wrong.any():
                item = start + int(np.argmax(wrong))
                raise DataError(f"{path}: item {item} has {what}; prepare the domain again")


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_unique(ids: Strings, what: str, target: Path) -> None:
    import pyarrow.compute as pc  # slow to import, and serving does without

    counts = pc.value_counts(as_strings(ids))
    if len(counts) != len(ids):
        twice = counts.field("values")[pc.index(pc.greater(counts.field("counts"), 1), True).as_py()]
        raise DataError(f"{target}: raw {what} id {twice.as_py()!r} occurs twice; ids have to be unique")
