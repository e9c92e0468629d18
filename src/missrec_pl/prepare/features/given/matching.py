"""A matrix of somebody else's, put beside the items of a domain folder by their ids."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.checks import check_features
from missrec_pl.data.domain.files import BLOCK_ROWS, FeatureMatrix
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.manifest import FeatureDtype
from missrec_pl.data.domain.replacing import real_path
from missrec_pl.data.domain.update import add_features
from missrec_pl.errors import DataError
from missrec_pl.prepare.features.given.containers import Array, Arrays, as_floats, dtype_name, read_arrays
from missrec_pl.prepare.features.given.order import beside, ids_within, read_order
from missrec_pl.prepare.findings import oddities
from missrec_pl.prepare.tables.joins import JoinReport, Sides, check_lists, in_forms

IN_ORDER = "items"
"""What ``--ids`` says where rows stand in the order of ``items.parquet``."""


@dataclass(frozen=True)
class Given:
    """Features of one modality in a file.

    Attributes:
        path: The file.
        modality: What they are of.
        ids: File of their ids, ``items``, or None: in the file itself or beside it.
        array: Which array or column; None: the only matrix.
        id_column: Which array or column of the file holds the ids; None: the one that fits.
        made_by: Who made them.
        skip_bad_rows: Rows with NaN or infinity count as missing instead of being refused.
        allow_unmatched: Take them also where most ids do not match.
        id_form: Spellings that ids of both sides are brought to; see ``id_forms``.
    """

    path: Path
    modality: str
    ids: str | None = None
    array: str | None = None
    id_column: str | None = None
    made_by: str | None = None
    skip_bad_rows: bool = False
    allow_unmatched: bool = False
    id_form: Sequence[str] = ()


class OrderedRows:
    """Rows of a matrix in another order, float32 [N, F]; ``rows`` has -1 where an item has none."""

    def __init__(self, matrix: Array, rows: npt.NDArray[np.int64]) -> None:
        self._matrix, self._rows = matrix, rows
        self.shape = (len(rows), matrix.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> npt.NDArray[np.float32]:
        wanted = self._rows[rows]
        block = as_floats(np.asarray(self._matrix[np.maximum(wanted, 0)]))
        block[wanted < 0] = 0
        return block


def take(given: Given, domain_path: Path, *, dtype: FeatureDtype, overwrite: bool) -> list[str]:
    """Puts the features into the domain folder.

    Returns:
        Lines about what was found.

    Raises:
        DataError: The file is no feature file, its rows cannot be told apart, most ids do not match, or rows hold
            NaN or infinity; the folder then stays as it was.
    """
    domain = Domain.open(real_path(domain_path))
    check_features([given.modality], dtype, domain.path)
    if given.modality in {**domain.modalities, **domain.views} and not overwrite:
        made = domain.info(given.modality).encoder
        raise DataError(
            f"{domain.path} has {given.modality} features already, by {made}; pass --overwrite to replace them"
        )
    raw_ids = in_forms(domain.raw_item_ids()[1:], given.id_form)
    arrays = read_arrays(given.path)
    matrix, ids, source = _matrix_and_ids(given, arrays, raw_ids)
    rows, told, join = _joined(given, in_forms(ids, given.id_form), raw_ids, matrix)
    present, rows, worse = _values(given, matrix, rows, raw_ids)
    stored = f"{dtype_name(matrix)}, {matrix.shape[1]} wide"
    lines = [
        f"{domain.path}: {given.modality} from {given.path}: {len(matrix):,} rows of {stored}, ids {source}",
        *told,
        *worse,
    ]
    encoder = given.made_by or f"given:{given.path.name}"
    digest = hashlib.sha256("\0".join(ids).encode()).hexdigest()[:12]
    made_by: dict[str, Any] = {
        "source": str(given.path.resolve()),
        "stored": stored,
        "ids": f"{source}, {digest}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "found": {"present": int(present.sum()), "missing": int((~present).sum())},
        "joins": [join.content()],
    }
    found = FeatureMatrix(OrderedRows(matrix, rows), present, encoder, made_by)
    add_features(domain.path, {given.modality: found}, dtype=dtype)
    for finding in oddities(Domain.open(domain.path), given.modality):
        lines.append(f"  {'warning: ' if finding.is_warning else ''}{finding.text}")
    return lines


def _matrix_and_ids(given: Given, arrays: Arrays, raw_ids: Sequence[str]) -> tuple[Array, list[str], str]:
    """The matrix [R, F], an id for each row, and where the ids are from."""
    path, known = given.path, set(raw_ids)
    by_id = {name: array.reshape(-1) for name, array in arrays.items() if array.size > 1 and name}
    if given.array is None and len(by_id) > 1 and len(known & by_id.keys()) > len(by_id) / 2:
        widths = Counter(len(array) for array in by_id.values())
        if len(widths) > 1:
            raise DataError(f"{path}: vectors of several lengths ({dict(widths.most_common(4))}), one for each id")
        return np.stack(list(by_id.values())), list(by_id), "are the names of its arrays"
    matrix = _matrix(given, arrays)
    if given.ids == IN_ORDER:
        if len(matrix) == len(raw_ids) + 1 and not as_floats(matrix[:1]).any():
            matrix = matrix[1:]
        if len(matrix) != len(raw_ids):
            raise DataError(
                f"{path}: {len(matrix):,} rows for {len(raw_ids):,} items; --ids {IN_ORDER} needs one each"
            )
        return matrix, list(raw_ids), "in the order of items.parquet"
    if given.ids is None or given.id_column is not None:
        within = ids_within(arrays, len(matrix), known, given.id_column, path)
        if within is not None:
            return matrix, within, "in the file itself"
    place = Path(given.ids) if given.ids is not None else beside(path)
    if place is None:
        raise DataError(
            f"{path}: {len(matrix):,} rows, and nothing says which item each belongs to; name a file of ids with "
            f"--ids FILE, or say --ids {IN_ORDER} if they stand in the order of items.parquet"
        )
    ids = read_order(place)
    if len(matrix) == len(ids) + 1 and not as_floats(matrix[:1]).any():
        matrix = matrix[1:]  # a row of padding
    if len(ids) != len(matrix):
        raise DataError(
            f"{place}: {len(ids):,} ids for {len(matrix):,} rows of {path.name}; they belong to another"
        )
    return matrix, ids, f"in {place}"


def _matrix(given: Given, arrays: Arrays) -> Array:
    path, name = given.path, given.array
    shapes = ", ".join(f"{key or 'array'} {dtype_name(one)} {one.shape}" for key, one in list(arrays.items())[:8])
    if name is not None and name not in arrays:
        raise DataError(f"{path}: no array {name!r}; it holds {shapes or 'none'}")
    chosen = {
        key: _squeezed(one)
        for key, one in arrays.items()
        if (name is None or key == name) and (one.dtype.kind in "fiub" or dtype_name(one) == "bfloat16")
    }
    found = {key: one for key, one in chosen.items() if one.ndim == 2 and one.shape[1] > 1}
    if len(found) > 1:
        raise DataError(f"{path}: several matrices ({shapes}); name one with --array")
    if not found:
        raise DataError(f"{path}: no matrix of a row for each item among its arrays ({shapes or 'none'})")
    matrix = next(iter(found.values()))
    return matrix.astype(np.uint8) if matrix.dtype.kind == "b" else matrix


def _squeezed(array: Array) -> Array:
    """[R, 1, F] as [R, F]."""
    while array.ndim > 2 and 1 in array.shape[1:]:
        array = array.squeeze(array.shape.index(1, 1))
    return array


def _joined(
    given: Given, ids: list[str], raw_ids: Sequence[str], matrix: Array
) -> tuple[npt.NDArray[np.int64], list[str], JoinReport]:
    """The row of every item, -1 where it has none, lines about what did not match, and how the ids match."""
    row_of: dict[str, int] = {}
    for row, raw in enumerate(ids):
        first = row_of.setdefault(raw, row)
        if first != row and not np.array_equal(matrix[first], matrix[row]):
            raise DataError(f"{given.path}: rows {first} and {row} are both of item {raw!r}, and differ; keep one")
    rows = np.array([row_of.get(raw, -1) for raw in raw_ids], np.int64)
    without = [raw for raw, row in zip(raw_ids, rows.tolist(), strict=True) if row < 0]
    known = set(raw_ids)
    surplus = [raw for raw in row_of if raw not in known]
    told = [f"  {len(raw_ids) - len(without):,} of {len(raw_ids):,} items have a row"]
    if without:
        told.append(f"  {len(without):,} items have none, such as {', '.join(without[:3])}")
    if surplus:
        told.append(f"  {len(surplus):,} rows belong to no item, such as {', '.join(surplus[:3])}")
    if len(ids) > len(row_of):
        told.append(f"  {len(ids) - len(row_of):,} rows repeat an id with the same values")
    # A file may hold few of the items, or more than these: the ids of the smaller side are to be in the larger.
    left, right = list(row_of), list(raw_ids)
    sides = Sides("ids", given.path.name, "items.parquet")
    if len(row_of) > len(raw_ids):
        left, right, sides = right, left, Sides("items", "items.parquet", given.path.name)

    def warn(line: str) -> None:
        told.append(f"  warning: {line}")

    join = check_lists(left, right, sides, allowed=given.allow_unmatched, warn=warn)
    if not join.matched:
        raise DataError(f"{given.path}: {join}")
    return rows, told, join


def _values(
    given: Given, matrix: Array, rows: npt.NDArray[np.int64], raw_ids: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int64], list[str]]:
    """Which items are present, and their rows: those of zeros are missing, and those that are not finite."""
    present = rows >= 0
    bad: list[int] = []
    for start in range(0, len(rows), BLOCK_ROWS):
        block = OrderedRows(matrix, rows[start : start + BLOCK_ROWS])[:]
        finite = np.isfinite(block).all(axis=1)
        empty = np.isnan(block).all(axis=1)
        bad += (start + np.flatnonzero(~finite & ~empty)).tolist()
        present[start : start + len(block)] &= finite & block.any(axis=1)
    if bad and not given.skip_bad_rows:
        raise DataError(
            f"{given.path}: {len(bad):,} rows hold NaN or infinity, such as that of item {raw_ids[bad[0]]}; mend "
            "them, or let such items count as missing with --skip-bad-rows"
        )
    zeros = int((rows >= 0).sum() - present.sum()) - len(bad)
    told = [f"  {len(bad):,} rows with NaN or infinity count as missing, such as {raw_ids[bad[0]]}"] if bad else []
    if zeros:
        told.append(f"  {zeros:,} rows of zeros count as missing")
    if not present.any():
        raise DataError(f"{given.path}: no item has a row of finite numbers that are not all zero")
    return present, np.where(present, rows, -1), told
