"""Choices by name, refused in Python as in a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from missrec_pl.errors import ConfigError

T = TypeVar("T", bound=str)


def chosen(flag: str, value: T, known: Sequence[str]) -> T:
    """The value, if it is one of those that are known.

    Args:
        flag: what the value was given with, for the message.
        value: the choice.
        known: all choices; of a ``Literal`` by ``typing.get_args``.

    Raises:
        ConfigError: names the flag and the choices.
    """
    if value not in known:
        raise ConfigError(f"{flag}={value}: choose one of {', '.join(known)}.")
    return value
