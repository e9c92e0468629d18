"""Which W&B server is meant, whether it answers, and whether there is a key for it."""

from __future__ import annotations

import netrc
import os
import socket
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import getproxies

_SECONDS = 5.0
OFF = ("offline", "disabled", "dryrun")
"""Modes that send nothing."""


def address() -> str:
    """The server as W&B finds it: the environment, its settings files, its default."""
    if named := os.environ.get("WANDB_BASE_URL"):
        return named
    import wandb

    return str(wandb.Settings().base_url)


def answers() -> bool:
    """Whether somebody listens there; behind a proxy nobody can tell."""
    place = urlparse(address())
    if place.scheme in getproxies():
        return True
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        socket.create_connection((place.hostname or "", port), _SECONDS).close()
    except OSError:
        return False
    return True


def has_key() -> bool:
    """Whether W&B would find a key: in the environment, or in the netrc file where `wandb login` leaves it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    hosts = {urlparse(address()).netloc, urlparse(address()).hostname or "", "api.wandb.ai"}
    if os.environ.get("WANDB_BASE_URL"):  # a server of one's own has a key of its own
        hosts.discard("api.wandb.ai")
    try:
        known = netrc.netrc(str(file))
    except (OSError, netrc.NetrcParseError):
        return False
    return any(host and known.authenticators(host) is not None for host in hosts)


def is_off(mode: str | None = None) -> bool:
    """Whether nothing is sent, by this mode or by the environment."""
    return (mode or os.environ.get("WANDB_MODE", "online")) in OFF
