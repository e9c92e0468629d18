"""Values of a results.json, checked; every message names the file."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError


def require(path: Path, content: Mapping[str, Any], keys: Iterable[str], *, within: str = "") -> None:
    """Refuse an object that lacks a key.

    Raises:
        DataError: It does.
    """
    if missing := [within + key for key in keys if key not in content]:
        raise DataError(f"{path}: lacks {', '.join(missing)}: written by another version, or not by a run")


def mapping(path: Path, name: str, value: Any) -> dict[str, Any]:
    """An object.

    Raises:
        DataError: It is none.
    """
    if not isinstance(value, dict):
        raise DataError(f"{path}: {name} must be an object, found {value!r}")
    return value


def numbers(path: Path, name: str, values: Any) -> dict[str, float]:
    """An object of finite numbers.

    Raises:
        DataError: It is none.
    """
    for key, value in mapping(path, name, values).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{path}: {name}.{key} must be a finite number, found {value!r}")
    return {key: float(value) for key, value in values.items()}


def strings(path: Path, name: str, value: Any) -> tuple[str, ...]:
    """A list of strings.

    Raises:
        DataError: It is none.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DataError(f"{path}: {name} must be a list of strings, found {value!r}")
    return tuple(value)


def whole_number(path: Path, name: str, value: Any) -> int:
    """A whole number.

    Raises:
        DataError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{path}: {name} must be a whole number, found {value!r}")
    return value
