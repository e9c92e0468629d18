"""Where and in which precision an encoder computes, and a digest of what it computes with."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass

import torch
from torch import nn

from missrec_pl.errors import ConfigError

PRECISIONS = ("auto", "fp32", "fp16", "bf16")


@dataclass(frozen=True)
class Compute:
    """Device and precision.

    Attributes:
        device: A torch device; ``auto`` is the GPU if there is one.
        precision: ``fp32``, ``fp16``, ``bf16``, or ``auto``: fp16 on a GPU, fp32 on a CPU.
    """

    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"--precision {self.precision}: choose one of {', '.join(PRECISIONS)}")
        if self.device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(f"--device {self.device}: no GPU is visible here; use --device cpu")
        try:
            torch.empty(0, device=self.resolved()).cpu()
        except (RuntimeError, AssertionError) as error:  # no such kind, none of it here, or not that many
            reason = str(error).splitlines()[0][:200]
            raise ConfigError(f"--device {self.device}: {reason}; use auto, cpu, cuda or cuda:N") from error

    def resolved(self) -> torch.device:
        """The device."""
        if self.device != "auto":
            return torch.device(self.device)
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def kind(self) -> str:
        """The precision, resolved."""
        if self.precision != "auto":
            return self.precision
        return "fp16" if self.resolved().type == "cuda" else "fp32"

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Mixed precision, or nothing."""
        kinds = {"fp16": torch.float16, "bf16": torch.bfloat16}
        if self.kind() == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.resolved().type, dtype=kinds[self.kind()])


def weights_digest(*modules: nn.Module) -> str:
    """Twelve hexadecimal digits that tell weights apart, wherever and in whatever file they lay."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]
