"""Where this project's YAML files lie: at the top of a checkout, inside the package where it is installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def config_folder() -> Path:
    """The folder with ``train.yaml``, ``eval.yaml`` and the groups."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parents[1] / "configs"
