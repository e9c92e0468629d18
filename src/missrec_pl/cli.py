"""How the entry points start: a user's mistake is one line and exit code 2, a bug is a traceback."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from missrec_pl.errors import MissrecError


def launch(main: Callable[[], Any]) -> None:
    """Run a Hydra main function.

    Args:
        main: the function that ``hydra.main`` decorated.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then leaves exceptions to us
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    _quieten()
    try:
        main()
    except (MissrecError, HydraException, OmegaConfBaseException) as error:
        for line in _lines(error):
            print(f"error: {line}", file=sys.stderr)
        sys.exit(2)


def _quieten() -> None:
    """Silence what says nothing about the run: Lightning's banners and advertisements, deprecations inside it."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def _lines(error: Exception) -> list[str]:
    """Our messages have one line per mistake; those of Hydra are joined to one."""
    text = str(error).strip()
    if isinstance(error, MissrecError):
        return text.splitlines()
    return [" ".join(part.strip() for part in text.splitlines() if part.strip())]
