"""A config as loggers get it: without places of this machine and without values of its environment."""

from __future__ import annotations

import os
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from missrec_pl.loggers.cleaning import without_paths

_FROM_ENVIRONMENT = re.compile(r"\$\{\s*(?:oc\.)?env:\s*['\"]?([A-Za-z_]\w*)")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)


def shared_config(cfg: DictConfig) -> dict[str, Any]:
    """Plain values with references filled in, except those that come from the environment: they stay as written.

    Of absolute paths the last name is left. Values of variables that are called like keys or passwords are left
    out wherever they stand.
    """
    raw, filled = OmegaConf.to_container(cfg, resolve=False), OmegaConf.to_container(cfg, resolve=True)
    names = set(_FROM_ENVIRONMENT.findall(str(raw)))
    used = {value for name in names if (value := os.environ.get(name))}
    secret = {value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= 8}
    cleaned: dict[str, Any] = without_paths(
        _clean(raw, filled, used, secret | {one for one in used if len(one) >= 4})
    )
    return cleaned


def _clean(raw: Any, filled: Any, used: set[str], anywhere: set[str]) -> Any:
    if isinstance(filled, dict):
        parts = raw if isinstance(raw, dict) else filled  # a reference to a whole section
        return {key: _clean(parts.get(key, part), part, used, anywhere) for key, part in filled.items()}
    if isinstance(filled, list):
        entries = raw if isinstance(raw, list) else filled
        return [_clean(one, part, used, anywhere) for one, part in zip(entries, filled, strict=True)]
    is_reference = isinstance(raw, str) and "${" in raw
    if is_reference and (_FROM_ENVIRONMENT.search(raw) or any(value in str(filled) for value in used)):
        return raw
    if isinstance(filled, str):
        for value in sorted(anywhere, key=len, reverse=True):
            filled = filled.replace(value, "***")
    return filled
