"""One W&B run for one run, interrupted or not."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

from lightning.pytorch import loggers

from missrec_pl.errors import ConfigError

log = logging.getLogger(__name__)

_SECONDS = 5.0


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, which would start a second W&B run when a run is continued.

    Args:
        when_unreachable: where W&B's server does not answer, ``offline`` keeps the curves in the run's
            folder, ``stop`` ends the run before it trains.
        **kwargs: as of :class:`lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ConfigError: ``stop``, and the server does not answer.
    """

    def __init__(self, *, when_unreachable: str = "offline", **kwargs: Any) -> None:
        if not kwargs.get("offline") and os.environ.get("WANDB_MODE", "online") == "online" and not _answers():
            if when_unreachable != "offline":
                raise ConfigError(
                    f"logger=wandb: {_address()} does not answer: say WANDB_MODE=offline, or "
                    "logger.wandb.when_unreachable=offline."
                )
            log.warning(
                "logger=wandb: %s does not answer, the curves stay here: wandb sync sends them", _address()
            )
            kwargs["offline"] = True
        super().__init__(**kwargs)

    def continue_from(self, step: int) -> None:
        """Go on with the W&B run of this folder; see :class:`missrec_pl.loggers.Continuable`.

        W&B keeps what was logged after the last checkpoint, and the repeated steps beside it, with equal values.
        """
        earlier = sorted(Path(str(self.save_dir), "wandb").glob("*run-*-*"), key=lambda path: path.stat().st_mtime)
        if earlier:
            self._wandb_init |= {"id": earlier[-1].name.rpartition("-")[2], "resume": "allow"}
            self._id = self._wandb_init["id"]


def _address() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")


def _answers() -> bool:
    """Whether somebody listens there; behind a proxy nobody can tell."""
    place = urlparse(_address())
    if place.scheme in getproxies():
        return True
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), _SECONDS).close()
    except OSError:
        return False
    return True
