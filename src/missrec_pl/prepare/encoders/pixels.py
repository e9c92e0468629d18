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

_NAMES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocessing:
    """The usual evaluation transform: shorter side to ``resize``, centre cut, values normalised by channel.

    Attributes:
        resize: Length of the shorter side, in pixels.
        crop: Side of the square that is cut from the centre, at most ``resize``.
        mean, std: By channel, of values 0..1.
        resample: Pillow's number of the interpolation; 3 is bicubic.
        squash: Both sides to ``resize`` instead: out of proportion, and the whole picture if ``crop`` is no less.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resample: int = 3
    squash: bool = False

    def __str__(self) -> str:
        kind = _NAMES.get(self.resample, str(self.resample))
        values = f"mean {self.mean}, std {self.std}"
        if self.squash:
            cut = f"centre {self.crop}, " if self.crop < self.resize else ""
            return f"RGB, both sides to {self.resize} ({kind}), {cut}{values}"
        return f"RGB, shorter side to {self.resize} ({kind}), centre {self.crop}, {values}"

    def cut(self, image: Image) -> npt.NDArray[np.uint8]:
        """Resizes and cuts; Pillow lets other threads run meanwhile.

        Returns:
            uint8 [crop, crop, 3].
        """
        picture = image.convert("RGB")
        size = self._size(*picture.size)
        picture = picture.resize(size, self.resample)
        left, top = (size[0] - self.crop) // 2, (size[1] - self.crop) // 2
        return np.asarray(picture.crop((left, top, left + self.crop, top + self.crop)))

    def _size(self, width: int, height: int) -> tuple[int, int]:
        if self.squash:
            return self.resize, self.resize
        short = min(width, height)
        return self.resize * width // short, self.resize * height // short

    def normalised(self, pixels: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
        """What the network reads: float32 [B, 3, crop, crop] from uint8 [B, crop, crop, 3]."""
        import torch  # here, so that --help does not wait for it

        values = torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() / 255
        mean = torch.tensor(self.mean, device=device).view(3, 1, 1)
        std = torch.tensor(self.std, device=device).view(3, 1, 1)
        return ((values - mean) / std).contiguous()
