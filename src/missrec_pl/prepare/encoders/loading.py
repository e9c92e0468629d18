"""What model libraries raise at missing, damaged or foreign weights, told in one line."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

from missrec_pl.errors import ConfigError


@contextmanager
def loading(model: str, advice: str = "") -> Iterator[None]:
    """Names the model that a library could not load.

    Args:
        model: What the user gave as ``--model``.
        advice: What to give instead.

    Raises:
        ConfigError: The block failed as libraries do at files that are missing, damaged or another model's.
    """
    try:
        yield
    except _library_errors() as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise ConfigError(f"--model {model}: cannot be loaded ({reason}){advice and f'; {advice}'}") from error


def _library_errors() -> tuple[type[Exception], ...]:
    known = (OSError, ValueError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError)
    if importlib.util.find_spec("safetensors") is None:
        return known
    from safetensors import SafetensorError

    return (*known, SafetensorError)
