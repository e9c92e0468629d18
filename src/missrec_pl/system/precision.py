"""Where float32 has to be float32, whatever a run trains with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

MATMUL_PRECISIONS = ("highest", "high", "medium")


def in_float32(device: torch.device) -> torch.autocast:
    """No autocast inside: cosines in bfloat16 have 8 bits, which makes most candidates tie."""
    return torch.autocast(device.type, enabled=False)


@contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """No autocast and no TF32 inside.

    Ranks and interests then do not depend on how a run trains, and the error bounds by which interest discovery
    proves its neighbours hold.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with in_float32(device):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def widened(tensor: Tensor) -> Tensor:
    """Half precision as float32; what is wider stays as it is."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def set_matmul_precision(precision: str) -> None:
    """What training's float32 products are made of: ``"highest"`` float32, ``"high"`` TF32, ``"medium"`` bfloat16.

    Interests and ranks stay with ``"highest"`` (:func:`exact_float32`).
    """
    torch.set_float32_matmul_precision(precision)
