"""What has to hold in a domain folder: its structure at every opening, its contents when asked to verify."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.manifest import ITEMS, SEQUENCES
from missrec_pl.errors import DataError

if TYPE_CHECKING:
    from missrec_pl.data.domain.folder import Domain

_BLOCK_ROWS = 65_536


def check_structure(domain: "Domain") -> None:
    """Checks counts, ids, shapes and coverage without reading the features.

    Raises:
        DataError: Names the file, what was found and what ``domain.json`` says.
    """
    items = domain.flags["item"].to_numpy()
    if not np.array_equal(items, np.arange(1, domain.num_items + 1)):
        raise DataError(
            f"{domain.path / ITEMS}: items have to be 1..{domain.num_items} in order, found {len(items)} rows"
        )
    for name in (*domain.modalities, *domain.views):
        domain.features(name)
        if int(domain.present(name).sum()) != round(domain.info(name).coverage * domain.num_items):
            raise DataError(f"{domain.path / ITEMS}: has_{name} does not fit the coverage in domain.json")
    sequences, path = domain.sequences, domain.path / SEQUENCES
    sequences.check(domain.num_items, path)
    if (sequences.num_users, len(sequences.items)) != (domain.num_users, domain.manifest.interactions):
        raise DataError(
            f"{path}: {sequences.num_users} users with {len(sequences.items)} interactions, domain.json says "
            f"{domain.num_users} with {domain.manifest.interactions}; prepare the domain again"
        )


def check_contents(domain: "Domain") -> None:
    """Reads every file: checksums first, then the feature rows.

    Raises:
        DataError: A file is missing, changed, or holds features that cannot be.
    """
    for file, expected in domain.manifest.sha256.items():
        path = domain.path / file
        if not path.is_file():
            raise DataError(f"{path} is missing; prepare the domain again")
        found = sha256_of(path)
        if found != expected:
            raise DataError(
                f"{path}: checksum {found[:12]} is not {expected[:12]} as in domain.json: the file was "
                "damaged or changed; prepare the domain again"
            )
    for name in (*domain.modalities, *domain.views):
        _check_rows(domain.features(name), domain.present(name), domain.path / domain.info(name).file)


def sha256_of(path: Path) -> str:
    """Checksum of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_rows(rows: npt.NDArray[np.floating[Any]], present: npt.NDArray[np.bool_], path: Path) -> None:
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = np.asarray(rows[start : start + _BLOCK_ROWS])
        here = present[start : start + _BLOCK_ROWS]
        nonzero = block.any(axis=1)
        for wrong, what in (
            (~np.isfinite(block).all(axis=1), "NaN or infinite features"),
            (nonzero & ~here, "features although it is marked as missing"),
            (~nonzero & here, "only zeros although it is marked as present"),
        ):
            if wrong.any():
                raise DataError(
                    f"{path}: item {start + int(np.argmax(wrong))} has {what}; prepare the domain again"
                )
