"""Feature files of a released folder: raw little-endian float32 rows, all-zero row = missing."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain_writer import FeatureMatrix
from missrec_pl.errors import DataError

_BLOCK_ROWS = 65_536


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
    return FeatureMatrix(rows, present, encoder=f"released:{path.suffix[1:]}")
