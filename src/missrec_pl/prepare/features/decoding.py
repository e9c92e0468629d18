"""A decoded picture as every program shows it: upright, on white, eight bits a channel, RGB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

VERSION = 2
"""Changes whenever other pixels come out of the same file."""
_ORIENTATION = 0x0112  # EXIF's tag
# What turns a picture upright, by Pillow's names, from what EXIF says.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_FRAMES = 50  # of an animation, looked at until one shows something


def shown(image: Picture) -> tuple[Picture | None, list[str]]:
    """The picture in mode RGB, and what had to be done for it, such as ``turned upright (EXIF)``.

    Of an animation the first frame that is not one colour counts. None: all of it is one colour.
    """
    for number, frame in enumerate(_frames(image)):
        picture, notes = _plain(frame)
        if any(low != high for low, high in picture.getextrema()):  # type: ignore[misc]
            if number or (getattr(image, "is_animated", False) and image.format != "MPO"):
                notes.append("one frame of an animation")
            return picture, notes
    return None, []


def _frames(image: Picture) -> Iterator[Picture]:
    image.load()
    yield image
    for number in range(1, min(getattr(image, "n_frames", 1), _FRAMES)):
        image.seek(number)
        yield image


def _plain(image: Picture) -> tuple[Picture, list[str]]:
    from PIL import Image

    notes = []
    picture = image
    if image.mode.startswith("I"):
        picture = _eight_bits(image)
        notes.append("16 bits scaled to 8")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        if rgba.getchannel("A").getextrema() != (255, 255):
            white = Image.new("RGBA", rgba.size, "white")
            white.alpha_composite(rgba)
            rgba = white
            notes.append("transparency put on white")
        picture = rgba
    elif picture.mode == "CMYK":
        notes.append("CMYK turned to RGB")
    picture = picture.convert("RGB")
    turn = _TURNS.get(_orientation(image))
    if turn is not None:
        picture = picture.transpose(Image.Transpose[turn])
        notes.append("turned upright (EXIF)")
    return picture, notes


def _eight_bits(image: Picture) -> Picture:
    """Grey of 16 bits scaled to 8, which Pillow would cut off at 255; its one transparent value becomes alpha."""
    from PIL import Image

    values = np.asarray(image).astype(np.int64)
    grey = np.clip((values + 128) // 257, 0, 255).astype(np.uint8)
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return Image.fromarray(grey)
    alpha = np.where(values == clear, 0, 255).astype(np.uint8)
    return Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))


def _orientation(image: Picture) -> int:
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged block of EXIF, of a picture that is sound
        return 1
    return found if isinstance(found, int) else 1
