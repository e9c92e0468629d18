"""Sources of a run's domains: prepared folders and released folders; the generators are in ``synthetic``.

A source does its work once, in ``prepare``, under a lock. It keeps the result in a cache whose key is a hash of
its inputs, so changed inputs are prepared again, and an interrupted preparation leaves nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from missrec_pl.data.domain.cache import DomainCache, file_states
from missrec_pl.data.domain.manifest import Manifest, check_encoders
from missrec_pl.data.released import convert_into, released_files
from missrec_pl.system.names import inside


@runtime_checkable
class DomainSource(Protocol):
    """Something that yields domain folders; its name appears in logs and results."""

    name: str

    def prepare(self) -> None:
        """Makes the domain folders unless they exist. Safe to repeat, and from several processes."""

    def paths(self) -> list[Path]:
        """The domain folders, in a fixed order; DataError if they were not prepared."""
        ...


class DomainFolders:
    """Native domain folders ``<data_dir>/<name>`` that exist already, together in one run.

    ``allow_mixed_encoders`` takes them even if different encoders made the features of one modality.
    """

    def __init__(self, names: Sequence[str], data_dir: Path | str, *, allow_mixed_encoders: bool = False) -> None:
        self._paths = [_below(data_dir, str(name)) for name in names]
        self._allow_mixed_encoders = allow_mixed_encoders
        self.name = "+".join(path.resolve().name for path in self._paths)

    def prepare(self) -> None:
        """Checks that the folders are there; DataError if one is not, or if encoders are mixed unasked."""
        manifests = [Manifest.read(path) for path in self._paths]
        if not self._allow_mixed_encoders:
            check_encoders(manifests, "data.source.allow_mixed_encoders=true")

    def paths(self) -> list[Path]:
        """The folders, in the order of their names."""
        return list(self._paths)


class ReleasedFolder:
    """A released folder (the authors' format), converted once into ``cache_dir``; several domains if merged."""

    def __init__(self, path: Path | str, cache_dir: Path | str) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name
        self._cache = DomainCache(cache_dir, self.name)

    def prepare(self) -> None:
        """Converts the folder unless the cache holds this very content; DataError if it is missing or damaged."""
        self._cache.prepare(self._inputs(), lambda folder: convert_into(self.path, folder))

    def paths(self) -> list[Path]:
        """The converted domain folders; DataError if this very content was not converted."""
        return self._cache.paths(self._inputs())

    def _inputs(self) -> dict[str, Any]:
        return {"folder": str(self.path.resolve()), "files": file_states(released_files(self.path))}


def released_folders(names: Sequence[str], data_dir: str, cache_dir: str) -> list[DomainSource]:
    """Released folders ``<data_dir>/<name>``, converted into ``cache_dir`` on first use."""
    return [ReleasedFolder(_below(data_dir, str(name)), cache_dir) for name in names]


def _below(data_dir: Path | str, name: str) -> Path:
    """A data set's folder, which may be a link that the user made; without ``data_dir`` the name is a path."""
    return inside(Path(data_dir), name, "data.name", "data folder", links=True) if str(data_dir) else Path(name)
