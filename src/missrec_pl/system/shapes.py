"""Where a step has fixed shapes and never waits: on an accelerator. On CPU less work counts for more.

What depends on the data's values (how many interests a row has, which items lack a modality, which candidates
repeat) decides shapes on CPU. A GPU would stand idle until the program knew them: there everything has its full
width, and masks. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_forced: list[bool] = []


def are_fixed(device: torch.device) -> bool:
    """Whether steps on a device have fixed shapes; the one place where this is chosen."""
    return _forced[-1] if _forced else device.type != "cpu"


def are_symbolic() -> bool:
    """Whether a graph for all sizes is being recorded (``torch.export``): no choice may depend on one."""
    return torch.compiler.is_exporting()


@contextmanager
def fixed_shapes(fixed: bool = True) -> Iterator[None]:
    """Inside, shapes are fixed, or not, whatever the device."""
    _forced.append(fixed)
    try:
        yield
    finally:
        _forced.pop()
