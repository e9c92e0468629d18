"""What type of numbers a file without a header holds, told by their sizes.

Features of one encoder are of a few orders of magnitude. Bytes that are read as another type than they were
written as give numbers of all orders.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

TYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
    "float64": np.dtype("<f8"),
    "int8": np.dtype("i1"),
}
"""Types by name; of bfloat16, which NumPy does not know, the bits."""
_OTHERS = {
    "float16": "<f2",
    "float64": "<f8",
    "big-endian float32": ">f4",
    "big-endian float64": ">f8",
    "big-endian float16": ">f2",
}
_LEAST = 64  # bytes; fewer tell nothing
_NARROW = 4.0  # standard deviation of log2 of sizes; encoders' features have 1 to 3
_ALIKE = 0.6  # of distributions of sixteen values, most that they may differ by; two apart differ by 2
_WIDE = 2.0  # how many times wider float32 has to be for another type to be believed


def widened(values: npt.NDArray[Any], kind: str) -> npt.NDArray[np.float32]:
    """Numbers of one of ``TYPES`` as float32."""
    if kind == "bfloat16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def looks_like(content: bytes) -> str | None:
    """The type that the numbers are of if that is not float32; None: they may be float32."""
    content = content[: len(content) // 8 * 8]
    if len(content) < _LEAST:
        return None
    as_float32 = _spread(np.frombuffer(content, "<f4"), finite_share=0.5)  # NaN among features are told as such
    halves = np.frombuffer(content, "<u2")
    if _is_bfloat16(halves):
        return "bfloat16"
    best = min(_OTHERS, key=lambda name: _spread(np.frombuffer(content, _OTHERS[name])))
    spread = _spread(np.frombuffer(content, _OTHERS[best]))
    if spread < _NARROW and as_float32 > _WIDE * max(spread, 1.0):
        return best
    return "int8" if as_float32 > 2 * _NARROW and _is_bytes(content) else None


def _spread(values: npt.NDArray[Any], finite_share: float = 0.999) -> float:
    """Standard deviation of log2 of the sizes other than zero; infinite where values are no features."""
    with np.errstate(invalid="ignore", over="ignore"):
        sizes = np.abs(values.astype(np.float64))
    finite = np.isfinite(sizes)
    sizes = sizes[finite & (sizes > 0)]
    if finite.mean() < finite_share or not len(sizes) or not 1e-12 < np.median(sizes) < 1e12:
        return float("inf")
    return float(np.log2(sizes).std())


def _is_bfloat16(halves: npt.NDArray[np.uint16]) -> bool:
    """Whether the lower halves of what would be float32 are numbers like the upper ones."""
    low, high = (widened(halves[side::2], "bfloat16") for side in (0, 1))
    return bool((low != 0).mean() > 0.5) and max(_spread(low), _spread(high)) < _NARROW


def _is_bytes(content: bytes) -> bool:
    """Whether all four bytes of what would be a float32 are distributed alike."""
    columns = np.frombuffer(content, np.uint8).reshape(-1, 4) >> 4
    shares = [np.bincount(columns[:, place], minlength=16) / len(columns) for place in range(4)]
    return max(float(np.abs(one - shares[0]).sum()) for one in shares[1:]) < _ALIKE
