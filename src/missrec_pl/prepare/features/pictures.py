"""Reading picture files, and refusing what is none."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.pixels import Preprocessing
from missrec_pl.prepare.features.status import Status

MIN_SIDE = 16
"""Shorter pictures are placeholders and tracking pixels."""
MAX_PIXELS = 64_000_000
"""Larger ones would take hundreds of megabytes each to decode."""
MAX_ASPECT = 20
"""Longer strips are ornaments; a square cut from the middle would show next to nothing of them."""


def require_pillow() -> None:
    """Fails early, in one line.

    Raises:
        ConfigError: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise ConfigError('pictures need Pillow: pip install "missrec-pl[prepare]"') from error


def read_picture(path: Path | None, preprocessing: Preprocessing) -> tuple[Status, npt.NDArray[np.uint8] | str]:
    """Decodes and cuts one picture; safe to call from several threads.

    Args:
        path: The file, None if the item has none.
        preprocessing: What to cut.

    Returns:
        ``OK`` and uint8 [crop, crop, 3], or another status and the reason.
    """
    from PIL import Image

    if path is None:
        return Status.NONE, ""
    try:
        with Image.open(path) as image:
            if reason := _absurd_size(*image.size):
                return Status.ABSURD, reason
            image.load()
            extrema = image.convert("RGB").getextrema()
            if all(low == high for low, high in extrema):  # type: ignore[misc]
                return Status.ABSURD, "one colour everywhere"
            return Status.OK, preprocessing.cut(image)
    except FileNotFoundError:
        return Status.GONE, "no such file"
    except Image.DecompressionBombError as error:
        return Status.ABSURD, str(error)
    except Exception as error:  # decoders raise whatever they please on damaged files
        return Status.BROKEN, f"{type(error).__name__}: {error}".splitlines()[0][:200]


def quiet_decoders() -> None:
    """Pillow warns of oddities that the status tells already. Not thread-safe: call it before threads start."""
    warnings.filterwarnings("ignore", module=r"PIL\..*")


def _absurd_size(width: int, height: int) -> str:
    short, long = sorted((width, height))
    if short < MIN_SIDE:
        return f"{width} x {height} pixels"
    if width * height > MAX_PIXELS:
        return f"{width} x {height} pixels"
    return f"{width} x {height} pixels" if long > MAX_ASPECT * short else ""
