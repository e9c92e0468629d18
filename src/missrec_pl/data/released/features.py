"""Feature files of a released folder: raw little-endian float32 rows, all-zero row = missing."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.encoders import UNKNOWN
from missrec_pl.data.domain.writer import FeatureMatrix
from missrec_pl.errors import DataError

_BLOCK_ROWS = 65_536
_TEXT = bytes(range(32, 127)) + b"\t\r\n"


def read_features(path: Path, raw_ids: list[str], *, counted: bool) -> FeatureMatrix:
    """Maps a ``.feat*CLS`` file; its width follows from its size and the number of items.

    Args:
        path: The file.
        raw_ids: Item ids, one for each row.
        counted: Whether the number of rows is known from ``.item2index`` (else guessed from the tokens).

    Raises:
        DataError: The size is no whole number of rows, or a row has NaN or infinite values.
    """
    size, count = path.stat().st_size, len(raw_ids)
    width, rest = divmod(size, 4 * count)
    if rest or not width:
        reason = (
            f"it is truncated, or {path.stem}.item2index belongs to another set"
            if counted
            else f"{path.stem}.item2index is missing, so the number of rows is not known: supply it"
        )
        raise DataError(
            f"{path}: {size} bytes are not {count} rows of float32 ({size / 4 / count:.2f} a row); {reason}"
        )
    rows: npt.NDArray[np.float32] = np.memmap(path, dtype="<f4", mode="r", shape=(count, width))
    _check_kind(path, rows[:_BLOCK_ROWS])
    present = np.zeros(count, bool)
    for start in range(0, count, _BLOCK_ROWS):
        block = np.asarray(rows[start : start + _BLOCK_ROWS])
        broken = ~np.isfinite(block).all(axis=1)
        if broken.any():
            row = start + int(np.argmax(broken))
            raise DataError(
                f"{path}: row {row} (item {raw_ids[row]}) has NaN or infinite features; extract them again"
            )
        present[start : start + len(block)] = block.any(axis=1)
    return FeatureMatrix(rows, present, encoder=f"{UNKNOWN}{path.suffix[1:]}")


def _check_kind(path: Path, rows: npt.NDArray[np.float32]) -> None:
    """Refuses bytes that are no features as float32, whatever else they are.

    Raises:
        DataError: Text, or many values other than zero have a magnitude that no encoder gives.
    """
    content = rows.tobytes()
    is_text = not content.translate(None, _TEXT)
    if _plausible(rows) >= 0.9 and not is_text:
        return
    kinds = {"big-endian float32": ">f4", "float64": "<f8", "big-endian float64": ">f8"}
    likely = [
        name
        for name, kind in kinds.items()
        if not is_text
        and not len(content) % np.dtype(kind).itemsize
        and _plausible(np.frombuffer(content, kind)) > 0.99
    ]
    raise DataError(
        f"{path}: the bytes are no little-endian float32 features"
        + (", they are text" if is_text else f", they look like {likely[0]}" if likely else "")
        + "; write them with .astype('<f4').tofile()"
    )


def _plausible(values: npt.NDArray[np.floating[Any]]) -> float:
    """Share of the values other than zero whose magnitude an encoder may give; NaN and infinity count as one."""
    with np.errstate(invalid="ignore"):
        sizes = np.abs(values[values != 0].astype(np.float64))
    known = sizes[np.isfinite(sizes)]
    return 1.0 if not len(known) else float(((known > 1e-12) & (known < 1e12)).mean())
