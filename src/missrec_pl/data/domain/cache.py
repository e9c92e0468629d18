"""Sets of domain folders that are made once and kept, keyed by a fingerprint of what they were made from."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from missrec_pl.data.domain.manifest import SCHEMA_VERSION
from missrec_pl.data.domain.replacing import LISTING, remove_leftovers, replacing
from missrec_pl.errors import DataError


class DomainCache:
    """Sets of domain folders that are built once for each state of their inputs.

    A set lies in ``<cache_dir>/<name>-<key>``; older sets of the same name stay until somebody removes
    them, because a running experiment may have them open.

    Args:
        cache_dir: Folder of all caches.
        name: Readable part of the folder's name.
    """

    def __init__(self, cache_dir: Path | str, name: str) -> None:
        self.cache_dir = Path(cache_dir)
        self.name = name

    def prepare(self, inputs: dict[str, Any], build: Callable[[Path], Sequence[Path]]) -> None:
        """Calls ``build`` unless this set exists; other processes wait until it is complete.

        Args:
            inputs: Plain values that decide about the content.
            build: Writes domain folders into the folder that it gets and returns them in order.

        Raises:
            DataError: The cache's folder cannot be made.
        """
        target = self._target(inputs)
        if (target / LISTING).is_file():
            return
        try:
            self.cache_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"paths.cache_dir={self.cache_dir} cannot be made ({error.strerror}); choose a folder that can be "
                "written."
            ) from error
        with FileLock(self.cache_dir / f".{self.name}.lock"):
            if (target / LISTING).is_file():
                return
            remove_leftovers(target)
            with replacing(target, overwrite=True) as folder:
                names = [path.relative_to(folder).as_posix() for path in build(folder)]
                (folder / LISTING).write_text(json.dumps({"domains": names, "inputs": inputs}, indent=2) + "\n")

    def paths(self, inputs: dict[str, Any]) -> list[Path]:
        """Domain folders of the set, in the order in which they were built.

        Raises:
            DataError: The set was not prepared.
        """
        target = self._target(inputs)
        listing = target / LISTING
        if not listing.is_file():
            raise DataError(f"{self.name} is not prepared: {target} does not exist; call prepare() first")
        return [target / name for name in json.loads(listing.read_text())["domains"]]

    def _target(self, inputs: dict[str, Any]) -> Path:
        content = json.dumps({"schema_version": SCHEMA_VERSION, **inputs}, sort_keys=True)
        return self.cache_dir / f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def file_states(paths: Sequence[Path]) -> list[list[Any]]:
    """Name, size and modification time (ns) of every file: a cheap stand-in for its content."""
    states = [(path, path.stat()) for path in sorted(paths)]
    return [[path.name, state.st_size, state.st_mtime_ns] for path, state in states]
