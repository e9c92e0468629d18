"""``${compat:MENDED,RELEASED}`` in the configs: one switch, ``model.compat``, for all that belongs to it."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig, OmegaConf


def register_resolvers() -> None:
    """Teach OmegaConf the project's interpolations; to be called before a config is read, any number of times."""
    OmegaConf.register_new_resolver("compat", _by_compat, replace=True)


def _by_compat(mended: Any, released: Any, *, _root_: DictConfig) -> Any:
    """``released`` if the config's ``model.compat`` is true, ``mended`` for every other model."""
    return released if OmegaConf.select(_root_, "model.compat", default=False) is True else mended
