"""Amazon Reviews 2014, 2018 and 2023: ratings as CSV or reviews as JSON lines, and the products' metadata.

The paper's text of an item is title, categories and brand (4.2.1).
"""

import ast
import json
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.database import column
from missrec_pl.prepare.interactions.tables import (
    Source,
    delimited,
    described,
    distinct_names,
    header_of,
    is_json,
    json_lines,
    lines_of,
    require_file,
    selected,
)


@dataclass(frozen=True)
class Edition:
    """How one edition of the data set is written."""

    columns: tuple[str, str, str, str]  # order of a ratings file without column names
    fields: tuple[str, str, str]  # SQL of title, categories and brand
    keys: tuple[str, ...]  # keys of the metadata that are read, the item's first
    image_url: str  # SQL of the picture's address
    # Keys of a review, and columns of a ratings file that names them:
    user: str = "reviewerID"
    time: str = "unixReviewTime"
    rating: str = "overall"
    time_unit: str = "s"  # ``s`` or ``ms``
    literals: bool = False  # whether metadata lines are Python literals instead of JSON

    @property
    def item(self) -> str:
        """Key of the item, in reviews as in the metadata."""
        return self.keys[0]


_CATEGORIES = 1  # among an edition's fields
EDITIONS = {  # by the name that ``--format`` takes
    "amazon2014": Edition(
        columns=("user", "item", "rating", "time"),
        fields=("title", "categories", "brand"),
        keys=("asin", "title", "categories", "brand", "imUrl"),
        image_url="imUrl->>'$'",
        literals=True,
    ),
    "amazon2018": Edition(
        columns=("item", "user", "rating", "time"),
        fields=("title", "category", "brand"),
        keys=("asin", "title", "category", "brand", "imageURL", "imageURLHighRes"),
        image_url="coalesce(imageURLHighRes->>'$[0]', imageURL->>'$[0]')",
    ),
    "amazon2023": Edition(
        columns=("user", "item", "rating", "time"),
        fields=("title", "categories", "coalesce(details->'$.Brand', store)"),
        keys=("parent_asin", "title", "categories", "details", "store", "images"),
        image_url=(
            "coalesce(images->>'$[0].hi_res', images->>'$[0].large', images->>'$.hi_res[0]', "
            "images->>'$.large[0]', images->>'$[0].thumb')"
        ),
        user="user_id",
        time="timestamp",
        rating="rating",
        time_unit="ms",
    ),
}


def read_amazon(edition: Edition, ratings: Path, metadata: Path | None, work: Path) -> Source:
    """Relations of one category; ``work`` is a folder for a translated copy of the metadata.

    Raises:
        DataError: A file is missing or is not what the edition writes.
    """
    require_file(ratings, "ratings (.csv) or reviews (.json, .jsonl), perhaps with .gz")
    keys = {"user": edition.user, "item": edition.item, "time": edition.time, "rating": edition.rating}
    if is_json(ratings):
        relation = json_lines(ratings, keys.values())
        sql = {name: f"{key}->>'$'" for name, key in keys.items()}
    else:
        relation, sql = _ratings(edition, ratings, keys)
    interactions = selected(relation, **sql, unit=edition.time_unit)
    return Source(interactions, None if metadata is None else _items(edition, metadata, work), _CATEGORIES)


def _ratings(edition: Edition, path: Path, keys: dict[str, str]) -> tuple[str, dict[str, str]]:
    """A ratings file with or without a line of names: its relation, and SQL of its columns."""
    first = header_of(path)
    if {edition.user, edition.item, edition.time} <= set(first):
        relation = delimited(path, distinct_names(first, f"{path}:1"), header=True)
        return relation, {name: column(key) for name, key in keys.items()}
    if len(first) != 4:
        found = f"{len(first)} columns: {','.join(first)[:60]!r}"
        raise DataError(f"{path}:1: expected {', '.join(edition.columns)}, found {found}")
    return delimited(path, edition.columns, header=False), {name: column(name) for name in keys}


def _items(edition: Edition, path: Path, work: Path) -> str:
    require_file(path, "the products' metadata")
    if not is_json(path):
        raise DataError(f"{path}: metadata has to be .json or .jsonl, perhaps with .gz")
    if edition.literals:
        path = _translated(path, work / "metadata.jsonl", edition.keys)
    relation = json_lines(path, edition.keys)
    return described(relation, f"{edition.item}->>'$'", edition.fields, edition.image_url)


def _translated(path: Path, out: Path, keys: tuple[str, ...]) -> Path:
    """The 2014 metadata as JSON: its lines are Python literals, which no JSON reader takes."""
    with out.open("w", encoding="utf-8") as target:
        for number, line in enumerate(lines_of(path), start=1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line) if line.startswith('{"') else ast.literal_eval(line)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                entry = None
            if not isinstance(entry, dict):
                raise DataError(
                    f"{path}:{number}: neither JSON nor a Python literal of one product: {line[:60]!r}"
                )
            try:
                text = json.dumps(
                    {key: entry[key] for key in keys if key in entry}, allow_nan=False, default=_plain
                )
            except (TypeError, ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: {error}: {line[:60]!r}; mend or remove the line") from error
            target.write(text + "\n")
    return out


def _plain(value: object) -> object:
    """What JSON has no word for: sets as lists in the order of their texts, bytes as text."""
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    raise TypeError(f"a {type(value).__name__} is no value of a product")
