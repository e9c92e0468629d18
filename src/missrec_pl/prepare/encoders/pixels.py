"""From a decoded picture to the pixels that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

RESAMPLES = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}  # Pillow's numbers of the interpolations


@dataclass(frozen=True)
class Preprocessing:
    """The usual evaluation transform: shorter side to ``resize``, centre cut, values normalised by channel."""

    resize: int  # length of the shorter side, in pixels
    crop: int  # side of the square that is cut from the centre, at most ``resize``
    mean: tuple[float, float, float]  # by channel, of values 0..1
    std: tuple[float, float, float]
    resample: int = RESAMPLES["bicubic"]
    squash: bool = False  # both sides to ``resize``, out of proportion; the whole picture if ``crop`` is equal

    def __str__(self) -> str:
        kind = next((name for name, number in RESAMPLES.items() if number == self.resample), str(self.resample))
        sides = "both sides" if self.squash else "shorter side"
        cut = "" if self.squash and self.crop >= self.resize else f"centre {self.crop}, "
        return f"RGB, {sides} to {self.resize} ({kind}), {cut}mean {self.mean}, std {self.std}"

    def cut(self, image: Image) -> npt.NDArray[np.uint8]:
        """Resizes and cuts to uint8 [crop, crop, 3]; Pillow lets other threads run meanwhile."""
        picture = image.convert("RGB")
        short = min(picture.size)
        size = (self.resize, self.resize)
        if not self.squash:
            size = (self.resize * picture.width // short, self.resize * picture.height // short)
        picture = picture.resize(size, self.resample)
        left, top = (size[0] - self.crop) // 2, (size[1] - self.crop) // 2
        return np.asarray(picture.crop((left, top, left + self.crop, top + self.crop)))

    def normalised(self, pixels: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
        """What the network reads: float32 [B, 3, crop, crop] from uint8 [B, crop, crop, 3]."""
        import torch  # here, so that --help does not wait for it

        values = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
        mean = torch.tensor(self.mean, device=device).view(3, 1, 1)
        std = torch.tensor(self.std, device=device).view(3, 1, 1)
        return ((values - mean) / std).contiguous()
