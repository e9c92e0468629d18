"""Histories as callers give them, as numbers of the catalogue's items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.serving.items import ItemNames
from missrec_pl.serving.lines import Lines
from missrec_pl.serving.request import Request

_LATEST = 2**62  # seconds


@dataclass(frozen=True)
class Asked:
    """Histories of a request.

    Attributes:
        rows: items ``1..N`` of each, newest last; empty where none is known.
        unknown: the ids of each that were skipped.
        times: seconds of the items, and of the request behind them; None where nobody reads them.
    """

    rows: Lines
    unknown: list[list[str]]
    times: list[list[int]] | None


def asked_histories(request: Request, names: ItemNames, *, needs_times: bool) -> Asked:
    """Look the items of histories up.

    Raises:
        ConfigError: histories that are none, or times that are needed and missing, or do not fit.
        DataError: an unknown id, if these are refused.
    """
    histories, unknown, at = request.histories, request.unknown, request.at
    times = request.times if needs_times else None
    if needs_times and (times is None or len(times) != len(histories)):
        raise ConfigError(
            "times: the network reads when items were met; give the seconds of each history's items."
        )
    number_of, rows, skipped = names.index.get, [], []
    kept_times: list[list[int]] | None = [] if needs_times else None
    for number, history in enumerate(histories):
        if isinstance(history, str | bytes) or not hasattr(history, "__len__"):
            raise ConfigError(
                f"histories[{number}]: a list of item ids is needed, not a {type(history).__name__}."
            )
        items = [number_of(str(one), 0) for one in history]
        odd = [str(one) for one, item in zip(history, items, strict=True) if not item] if 0 in items else []
        if odd and unknown == "refuse":
            raise DataError(f"histories[{number}]: item {odd[0][:80]!a} is unknown.")
        rows.append([item for item in items if item] if odd else items)
        skipped.append(odd)
        if kept_times is not None and times is not None:
            kept_times.append(_clock(times[number], items, _at(at, number, len(histories)), number))
    return Asked(Lines.of(rows), skipped, kept_times)


def _clock(times: Sequence[int], items: Sequence[int], at: int | None, number: int) -> list[int]:
    if len(times) != len(items):
        raise ConfigError(f"times[{number}]: {len(times)} times for {len(items)} items.")
    kept = [int(time) for time, item in zip(times, items, strict=True) if item]
    clock = [*kept, int(at) if at is not None else (kept[-1] if kept else 0)]
    if max(map(abs, clock)) > _LATEST:
        raise ConfigError(f"times[{number}]: seconds since 1970 are needed, not {str(max(clock, key=abs))[:40]}.")
    return clock


def _at(at: int | Sequence[int] | None, number: int, count: int) -> int | None:
    if at is None or isinstance(at, int):
        return at
    if len(at) != count:
        raise ConfigError(f"at: {len(at)} times for {count} histories.")
    return int(at[number])
