"""W&B starts online with a key or not at all: no prompt in the middle of a job, no run that nobody asked for."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from urllib.parse import urlparse

from omegaconf import DictConfig

from missrec_pl.config.targets import in_use

_OFF = ("offline", "disabled", "dryrun")


def wandb_mistakes(cfg: DictConfig) -> list[str]:
    """One line if ``logger=wandb`` would go online without a key."""
    wanted = [node for node in in_use(cfg, "logger").values() if "wandb" in str(node.get("_target_")).lower()]
    if not wanted or os.environ.get("WANDB_MODE", "online") in _OFF:
        return []
    if all(node.get("offline") or node.get("mode") in _OFF for node in wanted) or has_wandb_key():
        return []
    return [
        "logger=wandb: there is no W&B key (WANDB_API_KEY, or `wandb login`); give one, or say WANDB_MODE=offline."
    ]


def has_wandb_key() -> bool:
    """Whether W&B would find a key: in the environment, or in the netrc file where `wandb login` leaves it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(str(file)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
