"""Sources from names, as the data configs give them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from missrec_pl.data.domain.encoders import check_encoders
from missrec_pl.data.domain.manifest import Manifest
from missrec_pl.data.sources import DomainFolder, DomainSource, ReleasedFolder


def released_folders(names: Sequence[str], data_dir: str, cache_dir: str) -> list[DomainSource]:
    """Released folders ``<data_dir>/<name>``, converted into ``cache_dir`` on first use."""
    return [ReleasedFolder(Path(data_dir) / name, cache_dir) for name in names]


class DomainFolders:
    """Native domain folders ``<data_dir>/<name>``, together in one run.

    Args:
        names: Their names.
        data_dir: Where they lie.
        allow_mixed_encoders: Take them even if different encoders made the features of one modality.
    """

    def __init__(self, names: Sequence[str], data_dir: str, *, allow_mixed_encoders: bool = False) -> None:
        self._folders = [DomainFolder(Path(data_dir) / name) for name in names]
        self._allow_mixed_encoders = allow_mixed_encoders
        self.name = "+".join(folder.name for folder in self._folders)

    def prepare(self) -> None:
        """Checks that the folders are there and that their features belong together.

        Raises:
            DataError: A folder is missing or holds no readable ``domain.json``, or encoders are mixed.
        """
        manifests = [Manifest.read(folder.path) for folder in self._folders]
        if not self._allow_mixed_encoders:
            check_encoders(manifests, "data.source.allow_mixed_encoders=true")

    def paths(self) -> list[Path]:
        """The folders, in the order of their names."""
        return [folder.path for folder in self._folders]
