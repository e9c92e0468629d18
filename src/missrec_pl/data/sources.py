"""Where the domains of a run come from: prepared folders, released folders, generators.

A source does its work in ``prepare`` once, under a lock, and keeps the result in a cache that is keyed by a
fingerprint of its inputs: a changed input is prepared again, an interrupted preparation leaves nothing.
"""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from missrec_pl.data.domain.cache import DomainCache, file_states
from missrec_pl.data.domain.manifest import Manifest
from missrec_pl.data.released import convert_into, released_files


@runtime_checkable
class DomainSource(Protocol):
    """Something that yields domain folders.

    Attributes:
        name: Short name for logs and results.
    """

    name: str

    def prepare(self) -> None:
        """Makes the domain folders unless they exist. Safe to repeat, and from several processes."""
        ...

    def paths(self) -> list[Path]:
        """The domain folders, in a fixed order, after ``prepare`` ran here or in another process.

        Raises:
            DataError: They were not prepared.
        """
        ...


class DomainFolder:
    """One native domain folder that exists already.

    Args:
        path: The folder that holds ``domain.json``.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name

    def prepare(self) -> None:
        """Checks that the folder is there.

        Raises:
            DataError: It is missing or holds no readable ``domain.json``.
        """
        Manifest.read(self.path)

    def paths(self) -> list[Path]:
        """The folder itself."""
        return [self.path]


class ReleasedFolder:
    """A released folder (the authors' format), converted once to one domain, or to several if merged.

    Args:
        path: The folder that holds ``<name>.train.inter``.
        cache_dir: Where converted domains are kept.
    """

    def __init__(self, path: Path | str, cache_dir: Path | str) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name
        self._cache = DomainCache(cache_dir, self.name)

    def prepare(self) -> None:
        """Converts the folder unless the cache holds this very content.

        Raises:
            DataError: The folder is missing or damaged.
        """
        self._cache.prepare(self._inputs(), lambda folder: convert_into(self.path, folder))

    def paths(self) -> list[Path]:
        """The converted domain folders.

        Raises:
            DataError: They were not converted yet, or the released files changed since.
        """
        return self._cache.paths(self._inputs())

    def _inputs(self) -> dict[str, Any]:
        return {"folder": str(self.path.resolve()), "files": file_states(released_files(self.path))}
