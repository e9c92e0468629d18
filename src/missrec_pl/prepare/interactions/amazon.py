"""Amazon Reviews 2014, 2018 and 2023: ratings as CSV or reviews as JSON lines, and the products' metadata.

The paper's text of an item is title, categories and brand (4.2.1).
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from missrec_pl.errors import DataError
from missrec_pl.prepare.interactions.tables import (
    Source,
    delimited,
    described,
    is_json,
    json_lines,
    require_file,
    selected,
)
from missrec_pl.prepare.interactions.text_files import distinct_names, header_of, lines_of


@dataclass(frozen=True)
class Edition:
    """How one edition of the data set is written.

    Attributes:
        columns: Order of a ratings file without column names.
        user, item, time, rating: Keys of a review, and columns of a ratings file that names them.
        time_unit: ``s`` or ``ms``.
        metadata_item: Key of the item in the metadata.
        fields: SQL of title, categories and brand.
        keys: Keys of the metadata that are read.
        image_url: SQL of the picture's address.
        literals: Whether metadata lines are Python literals instead of JSON.
    """

    columns: tuple[str, str, str, str]
    user: str
    item: str
    time: str
    rating: str
    time_unit: str
    metadata_item: str
    fields: tuple[str, str, str]
    keys: tuple[str, ...]
    image_url: str
    literals: bool = False


EDITIONS = {
    "amazon2014": Edition(
        columns=("user", "item", "rating", "time"),
        user="reviewerID",
        item="asin",
        time="unixReviewTime",
        rating="overall",
        time_unit="s",
        metadata_item="asin",
        fields=("title", "categories", "brand"),
        keys=("asin", "title", "categories", "brand", "imUrl"),
        image_url="imUrl->>'$'",
        literals=True,
    ),
    "amazon2018": Edition(
        columns=("item", "user", "rating", "time"),
        user="reviewerID",
        item="asin",
        time="unixReviewTime",
        rating="overall",
        time_unit="s",
        metadata_item="asin",
        fields=("title", "category", "brand"),
        keys=("asin", "title", "category", "brand", "imageURL", "imageURLHighRes"),
        image_url="coalesce(imageURLHighRes->>'$[0]', imageURL->>'$[0]')",
    ),
    "amazon2023": Edition(
        columns=("user", "item", "rating", "time"),
        user="user_id",
        item="parent_asin",
        time="timestamp",
        rating="rating",
        time_unit="ms",
        metadata_item="parent_asin",
        fields=("title", "categories", "coalesce(details->'$.Brand', store)"),
        keys=("parent_asin", "title", "categories", "details", "store", "images"),
        image_url=(
            "coalesce(images->>'$[0].hi_res', images->>'$[0].large', images->>'$.hi_res[0]', "
            "images->>'$.large[0]', images->>'$[0].thumb')"
        ),
    ),
}
"""By the name that ``--format`` takes."""


def read_amazon(edition: Edition, ratings: Path, metadata: Path | None, work: Path) -> Source:
    """Relations of one category.

    Args:
        edition: How its files are written.
        ratings: Ratings (``.csv``) or reviews (``.json``, ``.jsonl``), ``.gz`` as well.
        metadata: The products' ``.json`` or ``.jsonl``; None if there is none.
        work: Folder for a translated copy of the metadata.

    Raises:
        DataError: A file is missing or is not what the edition writes.
    """
    require_file(ratings, "ratings (.csv) or reviews (.json, .jsonl), perhaps with .gz")
    if is_json(ratings):
        relation = json_lines(ratings, (edition.user, edition.item, edition.time, edition.rating))
        names = {key: f"{key}->>'$'" for key in (edition.user, edition.item, edition.time, edition.rating)}
    else:
        relation, names = _ratings(edition, ratings)
    interactions = selected(
        relation,
        names[edition.user],
        names[edition.item],
        names[edition.time],
        edition.time_unit,
        names[edition.rating],
    )
    return Source(interactions, None if metadata is None else _items(edition, metadata, work))


def _ratings(edition: Edition, path: Path) -> tuple[str, dict[str, str]]:
    keys = {"user": edition.user, "item": edition.item, "time": edition.time, "rating": edition.rating}
    first = header_of(path)
    if {edition.user, edition.item, edition.time} <= set(first):
        names = distinct_names(first, f"{path}:1")
        return delimited(path, names, header=True), {key: f'"{key}"' for key in keys.values()}
    if len(first) != 4:
        found = f"{len(first)} columns: {','.join(first)[:60]!r}"
        raise DataError(f"{path}:1: expected {', '.join(edition.columns)}, found {found}")
    return delimited(path, edition.columns, header=False), {keys[name]: f'"{name}"' for name in keys}


def _items(edition: Edition, path: Path, work: Path) -> str:
    require_file(path, "the products' metadata")
    if not is_json(path):
        raise DataError(f"{path}: metadata has to be .json or .jsonl, perhaps with .gz")
    if edition.literals:
        path = _translated(path, work / "metadata.jsonl", edition.keys)
    relation = json_lines(path, edition.keys)
    return described(relation, f"{edition.metadata_item}->>'$'", edition.fields, edition.image_url)


def _translated(path: Path, out: Path, keys: tuple[str, ...]) -> Path:
    """The 2014 metadata as JSON: its lines are Python literals, which no JSON reader takes."""
    with out.open("w", encoding="utf-8") as target:
        for number, line in enumerate(lines_of(path), start=1):
            if line.strip():
                entry = _parsed(line, path, number)
                target.write(json.dumps({key: entry[key] for key in keys if key in entry}) + "\n")
    return out


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(line) if line.startswith('{"') else ast.literal_eval(line)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise DataError(f"{path}:{number}: neither JSON nor a Python literal of one product: {line[:60]!r}")
    return entry
