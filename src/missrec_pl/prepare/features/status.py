"""What became of an item's text or picture."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
import numpy.typing as npt


class Status(IntEnum):
    """Everything but ``OK`` means that the item lacks the modality."""

    OK = 0
    NONE = 1
    GONE = 2
    BROKEN = 3
    ABSURD = 4
    UNENCODABLE = 5


TOLD = {
    Status.OK: "encoded",
    Status.NONE: "none known",
    Status.GONE: "file missing",
    Status.BROKEN: "broken",
    Status.ABSURD: "absurd",
    Status.UNENCODABLE: "no finite vector",
}


def counts(statuses: npt.NDArray[np.uint8]) -> dict[str, int]:
    """How many items became what; kinds that did not occur are left out."""
    found = np.bincount(statuses, minlength=len(Status))
    return {TOLD[kind]: int(found[kind]) for kind in Status if found[kind]}


def sentence(found: Mapping[str, int]) -> str:
    """Counts in words."""
    return ", ".join(f"{number:,} {name}" for name, number in found.items())
