"""Reading picture files, and refusing those that show nothing."""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.pixels import Preprocessing
from missrec_pl.prepare.features.decoding import shown
from missrec_pl.prepare.features.store import Status

MIN_SIDE = 16  # shorter pictures are placeholders and tracking pixels
MAX_PIXELS = 64_000_000  # larger ones would take hundreds of megabytes each to decode
FORMATS = ("JPEG", "PNG", "GIF", "WEBP")
"""What is decoded, told from the content. JPEG reads what phones write, MPO, as well.

Pillow knows forty more, some of which start other programs (EPS) or unpack without end (FITS).
"""
MAX_ASPECT = 20  # longer strips are ornaments; a square cut from the middle would show next to nothing of them


def require_pillow() -> None:
    """Fails early, in one line.

    Raises:
        ConfigError: Pillow is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise ConfigError('pictures need Pillow: pip install "missrec-pl[prepare]"')


def read_picture(
    path: Path | None, preprocessing: Preprocessing
) -> tuple[Status, npt.NDArray[np.uint8] | str, Sequence[str]]:
    """Decodes and cuts one picture; safe to call from several threads.

    Returns:
        ``OK``, uint8 [crop, crop, 3] and what :func:`shown` had to do, or another status, the reason and nothing.
    """
    from PIL import Image, UnidentifiedImageError

    if path is None:
        return Status.NONE, "", ()
    try:
        with Image.open(path, formats=FORMATS) as image:
            short, long = sorted(image.size)
            if short * long > MAX_PIXELS:
                told = f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}; make it smaller"
                return Status.ABSURD, told, ()
            if short < MIN_SIDE or long > MAX_ASPECT * short:
                return Status.ABSURD, f"{image.width} x {image.height} pixels", ()
            picture, notes = shown(image)
            if picture is None:
                return Status.ABSURD, "one colour everywhere", ()
            return Status.OK, preprocessing.cut(picture), notes
    except UnidentifiedImageError:
        return (
            Status.BROKEN,
            f"no picture of a kind that is read ({', '.join(FORMATS)}); convert or replace it",
            (),
        )
    except FileNotFoundError:
        return Status.GONE, "no such file", ()
    except Image.DecompressionBombError as error:
        return Status.ABSURD, str(error), ()
    except Exception as error:  # decoders raise whatever they please on damaged files
        return Status.BROKEN, f"{type(error).__name__}: {error}".splitlines()[0][:200], ()


def quiet_decoders() -> None:
    """Silences Pillow's warnings; the status tells the same. Not thread-safe: call it before threads start."""
    warnings.filterwarnings("ignore", module=r"PIL\..*")
