"""Multi-modal, interest-aware pre-training and transfer for sequential recommendation.

``from missrec_pl import compose, fit, evaluate`` runs experiments from Python; see
:mod:`missrec_pl.experiment.library`.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
_LIBRARY = ("Run", "compose", "evaluate", "fit")


def __getattr__(name: str) -> Any:
    """The functions of the library, loaded when they are asked for: serving needs neither Lightning nor Hydra."""
    if name not in _LIBRARY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("missrec_pl.experiment.library"), name)


def __dir__() -> list[str]:
    """What can be imported from here."""
    return sorted([*globals(), *_LIBRARY])
