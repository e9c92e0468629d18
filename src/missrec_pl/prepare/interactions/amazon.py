"""Amazon Reviews 2014, 2018 and 2023: ratings as CSV or reviews as JSON lines, and the products' metadata.

The paper's text of an item is title, categories and brand (4.2.1). Metadata of all editions are read alike: their
keys differ, but no key means two things.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.source import Source, described, pick, selected
from missrec_pl.prepare.tables.packing import kind_of
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import column, quoted
from missrec_pl.prepare.tables.table import Table, require_file


@dataclass(frozen=True)
class Edition:
    """How one edition of the data set is written."""

    columns: tuple[str, str, str, str]  # order of a ratings file without column names
    # Keys of a review, and columns of a ratings file that names them:
    item: str = "asin"
    user: str = "reviewerID"
    time: str = "unixReviewTime"
    rating: str = "overall"
    time_unit: str = "s"  # of numbers that are too small to tell it


EDITIONS = {  # by the name that ``--format`` takes
    "amazon2014": Edition(("user", "item", "rating", "time")),
    "amazon2018": Edition(("item", "user", "rating", "time")),
    "amazon2023": Edition(
        ("user", "item", "rating", "time"), "parent_asin", "user_id", "timestamp", "rating", "ms"
    ),
}
_ITEMS = ("parent_asin", "asin")
_FIELDS = ("title", "categories", "brand")  # of the paper's text
_CATEGORIES = ("categories", "category")
_PICTURES = ("imageURLHighRes", "imageURL", "image", "images", "imUrl")  # the largest first
_PRODUCT = r"(B0[0-9A-Z]{8}|[0-9]{9}[0-9X])"  # an ASIN
_REVIEWER = r"A[0-9A-Z]{9,31}"


def read_amazon(
    edition: Edition, files: RawFiles, ratings: Path, metadata: Path | None, text: Sequence[str] = ()
) -> Source:
    """Relations of one category; ``text`` names the fields of an item's text (default: title, categories, brand).

    Raises:
        DataError: A file is missing or is not what the edition writes, or users and items are swapped.
    """
    require_file(ratings, "ratings (.csv) or reviews (.json, .jsonl), packed or not")
    keys = {name: getattr(edition, name) for name in ("user", "item", "time", "rating")}
    if kind_of(ratings) in ("json", "literals"):
        table = files.objects(ratings)
        keys = _keys_of(keys, table.names, ratings)
    else:
        table, keys = _ratings(edition, files, ratings, keys)
    _refuse_swapped(files, table, keys)
    nothing = files.choices.nothing
    known = None if metadata is None else _items(files, metadata, edition, text or _FIELDS)
    items, rows, attributes = known or (None, None, None)
    return Source(
        selected(table, **keys, nothing=nothing),
        items,
        attributes,
        log=ratings,
        metadata=metadata or Path(),
        time=keys["time"],
        rating=keys["rating"],
        usual_unit=edition.time_unit,
        rows=table.rows,
        item_rows=rows,
    )


def _keys_of(keys: dict[str, str], names: Sequence[str], path: Path) -> dict[str, str]:
    """The columns of users, items, times and ratings, as any edition calls them."""
    editions = [{name: getattr(other, name) for name in keys} for other in EDITIONS.values()]
    fitting = [keys, *(other for other in editions if {other["user"], other["item"]} <= set(names))]
    found = next((other for other in fitting if {other["user"], other["item"], other["time"]} <= set(names)), None)
    if found is None:
        missing = next(key for key in keys.values() if key not in names)
        raise DataError(f"{path}: no {missing!r} among {', '.join(names)[:200]}; it is none of the editions")
    return found


def _ratings(edition: Edition, files: RawFiles, path: Path, keys: dict[str, str]) -> tuple[Table, dict[str, str]]:
    """A ratings file with or without a line of names, and its columns."""
    first = files.dialect(path).cells
    named = {name for other in EDITIONS.values() for name in (other.user, other.item, other.time)}
    if len(named & set(first)) >= 3:
        return files.table(path), _keys_of(keys, first, path)
    if len(first) != 4:
        found = f"{len(first)} columns: {','.join(first)[:60]!r}"
        raise DataError(f"{path}:1: expected {', '.join(edition.columns)}, found {found}")
    return files.table(path, names=edition.columns), {name: name for name in keys}


def _refuse_swapped(files: RawFiles, table: Table, keys: dict[str, str]) -> None:
    """Raises DataError where what should be users are products."""
    user, item = (table.text(keys[name]) for name in ("user", "item"))
    share = "count(*) FILTER (regexp_full_match({0}, '{1}'))"
    sums = ", ".join(
        share.format(cell, shape) for cell, shape in ((user, _PRODUCT), (item, _PRODUCT), (item, _REVIEWER))
    )
    query = f"SELECT count(*), {sums} FROM (FROM {table.relation} LIMIT 10000)"
    rows, products, right, reviewers = files.connection.execute(query).fetchone() or (0, 0, 0, 0)
    if rows and products > 0.5 * rows and right < 0.1 * rows and reviewers > 0.5 * rows:
        raise DataError(
            f"{table.path}: users and items look swapped: users are ASINs and items reviewers; ratings of 2014 "
            f"and "
            "2023 have the user first (--format amazon2014), those of 2018 the item"
        )


def _items(
    files: RawFiles, path: Path, edition: Edition, text: Sequence[str]
) -> tuple[str, int | None, int | None]:
    """The ``SELECT`` of the products, how many rows there are, and which field is that of categories."""
    require_file(path, "the products' metadata")
    if kind_of(path) not in ("json", "literals"):
        raise DataError(f"{path}: metadata has to be JSON lines (.json or .jsonl), packed or not")
    table = files.objects(path)
    names = table.names
    ids = [name for name in (edition.item, *_ITEMS) if name in names]
    pick(names, ids[:1] or [edition.item], path)
    if edition.item not in names:
        files.warn(f"{path}: no {edition.item!r}, as another edition writes; items go by {ids[0]!r}")
    key = f"coalesce({', '.join(table.id_text(name) for name in dict.fromkeys(ids))})"
    fields = [_field(name, names, path) for name in text]
    pictures = [f"nullif({column(name)}, '[]'::JSON)" for name in _PICTURES if name in names]
    picture = f"json_array({', '.join(pictures)})" if pictures else "NULL"
    number = next((place for place, name in enumerate(text) if name in _CATEGORIES), None)
    return described(table, key, fields, picture, files.choices.nothing), table.rows, number


def _field(name: str, names: Sequence[str], path: Path) -> str:
    """SQL of one field of the text; categories and brand as every edition calls them."""
    if name in _CATEGORIES:
        found = [column(key) for key in _CATEGORIES if key in names]
    elif name == "brand":
        found = [column("brand")] if "brand" in names else []
        if "details" in names:  # an object, or a text that holds one
            details = column("details")
            inner = f"CASE json_type({details}) WHEN 'VARCHAR' THEN TRY_CAST({details}->>'$' AS JSON) "
            inner += f"ELSE {details} END"
            found += [f"({inner})->{quoted('$.' + key)}" for key in ("Brand", '"Brand Name"', "brand")]
        found += [column("store")] if "store" in names else []
    else:
        found = [column(pick(names, (name,), path, "--text"))]
    empty = ("null", '""', "[]")
    cells = [
        f"CASE WHEN CAST({cell} AS VARCHAR) NOT IN ({', '.join(map(quoted, empty))}) THEN {cell} END"
        for cell in found
    ]
    return f"coalesce({', '.join([*cells, 'NULL'])})"
