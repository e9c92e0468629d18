"""Lists of sources from names, as the data configs give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from missrec_pl.data.sources import DomainFolder, DomainSource, ReleasedFolder


def released_folders(names: Sequence[str], data_dir: str, cache_dir: str) -> list[DomainSource]:
    """Released folders ``<data_dir>/<name>``, converted into ``cache_dir`` on first use."""
    return [ReleasedFolder(Path(data_dir) / name, cache_dir) for name in names]


def domain_folders(names: Sequence[str], data_dir: str) -> list[DomainSource]:
    """Native domain folders ``<data_dir>/<name>``."""
    return [DomainFolder(Path(data_dir) / name) for name in names]
