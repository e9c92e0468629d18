"""A config as loggers get it: without places of this machine and without values of its environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from missrec_pl.loggers.cleaning import without_paths

_FROM_ENVIRONMENT = re.compile(r"\$\{\s*(?:oc\.)?env:\s*['\"]?([A-Za-z_]\w*)")
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)

# Of no experiment: where things lie, who is told, and what stands in the facts of a run already.
_LEFT_OUT = ("hydra", "paths", "logger", "command", "launch", "local", "tags", "notes", "ckpt", "resume")
_NOISE = re.compile(r".*_dir|dirpath|filename|_convert_|_recursive_|_partial_|by_phase|interests")
_ONE_CLASS = ("data", "phase.module", "trainer", "callbacks.")
"""Nodes whose class says nothing: all runs have the same, or the part's name says it."""


def shared_config(cfg: DictConfig) -> dict[str, Any]:
    """Plain values with references filled in, except those that come from the environment: they stay as written.

    Of absolute paths the last name is left. Values of variables that are called like keys or passwords are left
    out wherever they stand.
    """
    raw, filled = OmegaConf.to_container(cfg, resolve=False), OmegaConf.to_container(cfg, resolve=True)
    names = set(_FROM_ENVIRONMENT.findall(str(raw)))
    used = {value for name in names if (value := os.environ.get(name))}
    cleaned: dict[str, Any] = without_paths(
        _clean(raw, filled, used, _secrets() | {one for one in used if len(one) >= 4})
    )
    return cleaned


def shared(value: Any) -> Any:
    """Plain values of any other origin: without absolute paths, and without what the environment keeps secret."""
    return without_paths(_clean(None, value, set(), _secrets()))


def flat_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A :func:`shared_config` as one level of names (``model.hidden_size``) and plain values.

    What says nothing of the experiment is left out: Hydra's own, folders, loggers, ``_target_`` where all runs
    have the same class. A class that is chosen stands under ``class``.
    """
    return dict(_leaves({name: part for name, part in config.items() if name not in _LEFT_OUT}))


def _leaves(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        name = f"{above}{key}"
        if key == "_target_":
            if not above.startswith(_ONE_CLASS[3]) and above.removesuffix(".") not in _ONE_CLASS and value:
                yield f"{above}class", str(value).rpartition(".")[2]
        elif _NOISE.fullmatch(str(key)):
            continue
        elif isinstance(value, dict):
            yield from _leaves(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
            yield from _leaves({str(number): one for number, one in enumerate(value)}, f"{name}.")
        else:
            yield name, value


def _secrets() -> set[str]:
    return {value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= 8}


def _clean(raw: Any, filled: Any, used: set[str], anywhere: set[str]) -> Any:
    if isinstance(filled, dict):
        parts = raw if isinstance(raw, dict) else filled  # a reference to a whole section
        return {key: _clean(parts.get(key, part), part, used, anywhere) for key, part in filled.items()}
    if isinstance(filled, list):
        entries = raw if isinstance(raw, list) else filled
        return [_clean(one, part, used, anywhere) for one, part in zip(entries, filled, strict=True)]
    is_reference = isinstance(raw, str) and "${" in raw
    if is_reference and (_FROM_ENVIRONMENT.search(raw) or any(value in str(filled) for value in used)):
        filled = raw
    if isinstance(filled, str):
        for value in sorted(anywhere, key=len, reverse=True):
            filled = filled.replace(value, "***")
    return filled
