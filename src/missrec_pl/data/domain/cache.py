"""Generated and converted domain folders, made once for each state of their inputs."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from missrec_pl.data.domain.manifest import SCHEMA_VERSION
from missrec_pl.data.domain.replacing import LISTING, remove_leftovers, replacing
from missrec_pl.errors import DataError
from missrec_pl.system.documents import read_json
from missrec_pl.system.names import check_name, inside


@dataclass(frozen=True)
class DomainCache:
    """Keeps sets of domain folders in ``<cache_dir>/<name>-<hash of the inputs>``.

    Older sets of the same name stay until somebody removes them: a running experiment may have them open.
    """

    cache_dir: Path | str
    name: str

    def prepare(self, inputs: dict[str, Any], build: Callable[[Path], Sequence[Path]]) -> None:
        """Builds the set unless it exists; other processes wait until it is complete.

        Args:
            inputs: Plain values that determine the content.
            build: Writes domain folders into the given folder and returns them in order.

        Raises:
            DataError: The cache's folder cannot be made.
        """
        target = self._target(inputs)
        if (target / LISTING).is_file():
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"paths.cache_dir={self.cache_dir} cannot be made ({error.strerror}); choose a folder that can be "
                "written."
            ) from error
        with FileLock(target.parent / f".{self.name}.lock"):
            if (target / LISTING).is_file():
                return
            remove_leftovers(target)
            with replacing(target, overwrite=True) as folder:
                names = [path.relative_to(folder).as_posix() for path in build(folder)]
                (folder / LISTING).write_text(json.dumps({"domains": names, "inputs": inputs}, indent=2) + "\n")

    def paths(self, inputs: dict[str, Any]) -> list[Path]:
        """Domain folders of the set, in the order in which they were built; DataError if it was not prepared."""
        target = self._target(inputs)
        listing = target / LISTING
        if not listing.is_file():
            raise DataError(f"{self.name} is not prepared: {target} does not exist; call prepare() first")
        return [
            inside(target, str(name), str(listing)) for name in read_json(listing, "remove that folder")["domains"]
        ]

    def _target(self, inputs: dict[str, Any]) -> Path:
        check_name(self.name, str(self.cache_dir), "data set")
        content = json.dumps({"schema_version": SCHEMA_VERSION, **inputs}, sort_keys=True)
        return Path(self.cache_dir) / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def file_states(paths: Sequence[Path]) -> list[list[Any]]:
    """Name, size and modification time (ns) of every file: a cheap stand-in for its content."""
    states = [(path, path.stat()) for path in sorted(paths)]
    return [[path.name, state.st_size, state.st_mtime_ns] for path, state in states]
