"""Which row of a feature matrix belongs to which item: ids in a file beside, or in the features' own file."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from missrec_pl.errors import DataError
from missrec_pl.prepare.features.given.containers import Array, Arrays, read_arrays
from missrec_pl.system.documents import checked_lines, read_json

_TEXT_ENDINGS = (".txt", ".csv", ".tsv", ".item2index", ".lst", ".ids")
_ENDINGS = (*_TEXT_ENDINGS, ".json", ".npy", ".parquet")
_WORDS = re.compile(r"(^|[^a-z])(ids?|index|item2index|order|keys?|asins?|items?|names?)([^a-z]|$)")
_HEADER = re.compile(r"([a-z]+[ _])?(ids?|index|item|items|asin|sku|key|name)|item-?id")
_MAX_JSON = 1 << 30


def beside(path: Path) -> Path | None:
    """The one file in the features' folder that is called like ids of theirs; None: there is none.

    Raises:
        DataError: There are several; names ``--ids``.
    """
    near = [
        file
        for file in path.parent.iterdir()
        if file != path and file.is_file() and file.suffix.lower() in _ENDINGS and not file.name.startswith(".")
    ]
    called = [file for file in near if _WORDS.search(file.name.lower().replace("_", " "))]
    own = [file for file in called if file.name.startswith(path.stem)]
    alone = [
        file
        for file in called
        if re.fullmatch(r"(item_?|row_?)?(ids?|index|order|asins?|keys)", file.stem.lower())
    ]
    same = [file for file in near if file.stem == path.stem and file.suffix.lower() in (*_TEXT_ENDINGS, ".json")]
    found = own or same or alone
    if len(found) > 1:
        listed = ", ".join(sorted(file.name for file in found)[:4])
        raise DataError(f"{path}: several files beside it may hold its ids ({listed}); name one with --ids")
    return found[0] if found else None


def read_order(path: Path) -> list[str]:
    """The ids of rows 0, 1, ... from a file of ids, of pairs of id and row, or a table of them.

    Raises:
        DataError: It is damaged, or which id belongs to which row cannot be told.
    """
    if path.suffix.lower() == ".json":
        return _of_json(path)
    if path.suffix.lower() in (".npy", ".npz", ".parquet", ".pq", ".arrow", ".feather"):
        columns = [as_ids(array) for array in read_arrays(path).values() if array.ndim == 1]
        if len(columns) == 1:
            return columns[0]
        if len(columns) != 2:
            raise DataError(f"{path}: {len(columns)} columns of ids; expected ids, or ids and rows")
        return _of_pairs(list(zip(*columns, strict=True)), path)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        try:
            lines = [line.rstrip("\r\n") for line in checked_lines(stream, str(path)) if line.strip()]
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 ({error.reason}); convert the file") from error
    separator = "\t" if lines and "\t" in lines[0] else ","
    is_table = path.suffix.lower() in (".csv", ".tsv", ".item2index") or separator == "\t"
    rows = list(csv.reader(lines, delimiter=separator)) if is_table else [[line.strip()] for line in lines]
    widths = {len(row) for row in rows}
    if widths == {1}:
        ids = [row[0].strip() for row in rows]
        return ids[1:] if ids and _HEADER.fullmatch(ids[0].lower()) else ids
    if widths != {2}:
        raise DataError(f"{path}: rows of {sorted(widths)} cells; expected one id a line, or id and row")
    return _of_pairs([(first.strip(), second.strip()) for first, second in rows], path)


def as_ids(array: Array) -> list[str]:
    """Ids as text; whole numbers without ``.0``.

    Raises:
        DataError: They are neither texts nor whole numbers.
    """
    if array.dtype.kind == "S":
        return [one.decode("utf-8", "replace") for one in array.tolist()]
    if array.dtype.kind in "iuU":
        return list(map(str, array.tolist()))
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all():
        return [str(int(one)) for one in array.tolist()]
    raise DataError(f"ids are {array.dtype}, neither texts nor whole numbers")


def ids_within(arrays: Arrays, count: int, known: set[str], column: str | None, path: Path) -> list[str] | None:
    """The ids that stand in the features' own file, one for each of ``count`` rows; None: there are none.

    Of several columns the one counts that has most of the ``known`` ids.

    Raises:
        DataError: The column named is not there, or two have as many of the known ids.
    """
    columns = {}
    for name, array in arrays.items():
        flat = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
        if flat.ndim == 1 and len(flat) == count and array.dtype.kind in "SUiuf":
            try:
                columns[name] = as_ids(flat)
            except DataError:
                continue
    if column is not None:
        if column not in columns:
            raise DataError(f"{path}: no column of ids {column!r}; there are {', '.join(columns) or 'none'}")
        return columns[column]
    matched = sorted(((sum(one in known for one in ids), name) for name, ids in columns.items()), reverse=True)
    if not matched or not matched[0][0]:
        return None
    if len(matched) > 1 and matched[1][0] == matched[0][0] and columns[matched[0][1]] != columns[matched[1][1]]:
        both = " and ".join(name for _, name in matched[:2])
        raise DataError(f"{path}: {both} hold as many ids of the items; name the right one with --id-column")
    return columns[matched[0][1]]


def _of_json(path: Path) -> list[str]:
    content = read_json(path, "write the ids as a list", _MAX_JSON)
    if isinstance(content, list) and all(isinstance(one, str | int) for one in content):
        return list(map(str, content))
    if isinstance(content, dict) and all(isinstance(row, str | int) for row in content.values()):
        return _of_pairs([(str(raw), str(row)) for raw, row in content.items()], path)
    raise DataError(f"{path}: neither a list of ids nor an object of ids and their rows")


def _of_pairs(pairs: Sequence[tuple[str, str]], path: Path) -> list[str]:
    """Ids by row from pairs of id and row, in either order, with a line of names or without."""
    for taken in (list(pairs), list(pairs[1:])):
        fitting = [side for side in (0, 1) if _is_numbering([pair[side] for pair in taken])]
        if len(fitting) == 2 and any(first != second for first, second in taken):
            raise DataError(f"{path}: both columns number the rows; give one id a line, in the order of the rows")
        if fitting:
            side = fitting[-1]
            ordered = sorted(taken, key=lambda pair: int(pair[side]))
            return [pair[1 - side] for pair in ordered]
    raise DataError(f"{path}: no column numbers the rows 0, 1, 2, ... (or from 1); give one id a line")


def _is_numbering(cells: Sequence[str]) -> bool:
    if not cells or not all(cell.isascii() and cell.isdigit() for cell in cells):
        return False
    numbers = sorted(map(int, cells))
    return numbers in (list(range(len(cells))), list(range(1, len(cells) + 1)))
