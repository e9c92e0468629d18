"""Picture files that exist already, found by item id."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import ConfigError
from missrec_pl.system.lookup import require_folder


@dataclass(frozen=True)
class ItemImages:
    """Files of one folder whose names follow from item ids.

    Attributes:
        folder: The folder.
        name: File name, ``{id}`` stands for the raw item id.
    """

    folder: Path
    name: str = "{id}.jpg"

    def __post_init__(self) -> None:
        if "{id}" not in self.name:
            raise ConfigError(f"--image-name {self.name}: it has to contain {{id}}, the item's id")
        require_folder(self.folder, "folder of images")

    def paths(self, raw_ids: Sequence[str], domain: Path) -> list[str | None]:
        """The file of every item as ``items.parquet`` keeps it, None where there is none."""
        with os.scandir(self.folder) as entries:
            there = {entry.name for entry in entries if entry.is_file()}
        names = [self.name.replace("{id}", raw) for raw in raw_ids]
        stored = stored_folder(self.folder, domain)
        return [(stored / name).as_posix() if name in there else None for name in names]


def stored_folder(images: Path, domain: Path) -> Path:
    """How ``items.parquet`` names a folder of images.

    Relative to the domain folder if it lies beside or below it, so that both can be moved together; else absolute.
    """
    images, parent = images.resolve(), domain.resolve().parent
    return Path(os.path.relpath(images, domain.resolve())) if images.is_relative_to(parent) else images
