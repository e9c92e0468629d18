"""Encoders by the name that ``--encoder`` takes. Libraries are imported when an encoder is made, not before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.base import BatchTextEncoder, ImageEncoder

ENCODERS = {
    "clip": ("text", "image"),
    "sentence": ("text",),
    "lsa": ("text",),
    "timm": ("image",),
    "efficientnet-lite0": ("image",),
}
"""What each encodes."""


@dataclass(frozen=True)
class EncoderChoice:
    """What the user asks for; small and plain, so that it goes to other processes.

    Attributes:
        name: A key of ``ENCODERS``.
        model: Name or folder of the model; None: the encoder's default.
        output: CLIP: ``projected`` or ``cls``.
        device: A torch device, or ``auto``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        dim: LSA: width of the vectors.
        seed: LSA: seed of the SVD.
    """

    name: str
    model: str | None = None
    output: str = "projected"
    device: str = "auto"
    precision: str = "auto"
    dim: int = 512
    seed: int = 0

    def on_gpu(self, number: int) -> EncoderChoice:
        """The same on one of the GPUs, if the device is left open and there are several."""
        import torch

        gpus = torch.cuda.device_count()
        if self.device not in ("auto", "cuda") or gpus < 2:
            return self
        return replace(self, device=f"cuda:{number % gpus}")

    def build(self) -> BatchTextEncoder | ImageEncoder:
        """The encoder, its weights loaded.

        Raises:
            ConfigError: Its library is missing, or its model cannot be loaded.
        """
        from missrec_pl.prepare.encoders.devices import Compute  # with torch: --help does not wait for it

        compute = Compute(self.device, self.precision)
        if self.name == "clip":
            from missrec_pl.prepare.encoders import clip

            return clip.ClipEncoder(self.model or clip.DEFAULT_MODEL, self.output, compute)
        if self.name == "sentence":
            from missrec_pl.prepare.encoders import sentence

            return sentence.SentenceEncoder(self.model or sentence.DEFAULT_MODEL, compute)
        from missrec_pl.prepare.encoders import backbones

        if self.name == "timm":
            return backbones.timm_encoder(self.model or backbones.DEFAULT_TIMM_MODEL, compute)
        if self.name == "efficientnet-lite0":
            return backbones.lite_encoder(compute)
        raise ConfigError(f"--encoder {self.name}: choose one of {', '.join(ENCODERS)}")
