"""What a caller asks for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from missrec_pl.errors import ConfigError

Unknown = Literal["skip", "refuse"]


@dataclass(frozen=True)
class Request:
    """Histories, and what may be recommended for them.

    Attributes:
        histories: item ids, newest last, of any length; where the bundle has several domains, ``domain:id``.
        k: how many items each gets, or fewer where fewer are left.
        exclude_seen: whether items of a history are none of its recommendations.
        allowed: recommend these alone.
        blocked: never recommend these.
        times: seconds since 1970 of each item, for networks that read them.
        at: seconds of the request, one for all or one each; by default that of the newest item.
        unknown: ``"skip"`` leaves out ids that the bundle does not know; ``"refuse"`` raises.
        with_parts: whether answers say what each score owes to the network and to each auxiliary scorer.

    Raises:
        ConfigError: a value that cannot be.
    """

    histories: Sequence[Sequence[str | int]]
    k: int = 10
    exclude_seen: bool = True
    allowed: Iterable[str | int] | None = None
    blocked: Iterable[str | int] | None = None
    times: Sequence[Sequence[int]] | None = None
    at: int | Sequence[int] | None = None
    unknown: Unknown = "skip"
    with_parts: bool = False

    def __post_init__(self) -> None:
        checked_k(self.k)
        if self.unknown not in ("skip", "refuse"):
            raise ConfigError(f"unknown={self.unknown!r}: choose skip or refuse.")


def checked_k(k: Any) -> int:
    """A number of items.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ConfigError(f"k={k}: a whole number from 1 is needed.")
    return k
