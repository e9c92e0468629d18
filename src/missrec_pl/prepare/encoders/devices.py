"""What encoders on torch share: device and precision, a digest of weights, errors of loading in one line."""

import contextlib
import hashlib
import importlib.util
import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from missrec_pl.errors import ConfigError

_KINDS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Compute:
    """Device and precision."""

    device: str = "auto"  # A torch device; ``auto`` is the GPU if there is one
    precision: str = "auto"  # ``fp32``, ``fp16``, ``bf16``, or ``auto``: fp16 on a GPU, fp32 on a CPU

    def __post_init__(self) -> None:
        if self.precision not in ("auto", *_KINDS):
            raise ConfigError(f"--precision {self.precision}: choose one of auto, {', '.join(_KINDS)}")
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
        if self.kind() == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.resolved().type, dtype=_KINDS[self.kind()])


def weights_digest(*modules: nn.Module) -> str:
    """Twelve hexadecimal digits that identify weights, whatever file they came from."""
    digest = hashlib.sha256()
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def loading(model: str, advice: str = "") -> Iterator[None]:
    """Names the model that a library could not load, and advises what to give instead.

    Raises:
        ConfigError: The block failed as libraries do at files that are missing, damaged or another model's.
    """
    known: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, RuntimeError, EOFError)
    known += (pickle.UnpicklingError,)
    if importlib.util.find_spec("safetensors") is not None:
        from safetensors import SafetensorError

        known += (SafetensorError,)
    try:
        yield
    except known as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise ConfigError(f"--model {model}: cannot be loaded ({reason}){advice and f'; {advice}'}") from error
