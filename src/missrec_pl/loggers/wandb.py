"""One W&B run for one run, interrupted or not."""

from __future__ import annotations

import logging
import os
import socket
from argparse import Namespace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse
from urllib.request import getproxies

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from missrec_pl.errors import ConfigError
from missrec_pl.loggers.cleaning import without_paths

log = logging.getLogger(__name__)

_SECONDS = 5.0


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, which would start a second W&B run when a run is continued.

    W&B sends no console, no command line, no code and no description of the machine.

    Args:
        when_unreachable: where W&B's server does not answer, ``offline`` keeps the curves in the run's
            folder, ``stop`` ends the run before it trains.
        **options: as of :class:`lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ConfigError: ``stop``, and the server does not answer; or ``log_model`` is on, and checkpoints name folders
            of this machine.
    """

    def __init__(self, *, when_unreachable: Literal["offline", "stop"] = "offline", **options: Any) -> None:
        if options.get("log_model"):
            raise ConfigError("logger.wandb.log_model: checkpoints name this machine's folders; leave it false.")
        if not options.get("offline") and os.environ.get("WANDB_MODE", "online") == "online" and not _answers():
            if when_unreachable != "offline":
                raise ConfigError(
                    f"logger=wandb: {_address()} does not answer: say WANDB_MODE=offline, or "
                    "logger.wandb.when_unreachable=offline."
                )
            log.warning(
                "logger=wandb: %s does not answer, the curves stay here: wandb sync sends them", _address()
            )
            options["offline"] = True
        quiet = {"console": "off", "x_disable_meta": True, "disable_git": True, "disable_code": True}
        given = options.pop("settings", None)
        super().__init__(settings=quiet if given is None else given, **options)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Logs options without absolute paths."""
        super().log_hyperparams(without_paths(vars(params) if isinstance(params, Namespace) else params))

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
