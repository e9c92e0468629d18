"""MovieLens, RecBole's atomic files, and tables whose columns the user names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.database import column
from missrec_pl.prepare.interactions.tables import (
    Source,
    columns_sql,
    delimited,
    described,
    pick,
    relation_of,
    require_file,
    selected,
)
from missrec_pl.prepare.interactions.text_files import column_names, distinct_names, header_of

_TEXT_WORDS = ("title", "name", "categor", "genre", "class", "brand")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what.

    Attributes:
        user, item, time: Of the interactions.
        rating: Of the interactions, or None.
        item_id: Of the metadata; None: named like ``item``.
        text: Of the metadata, in the order in which the text names them.
        image_url: Of the metadata, or None.
        time_unit: ``s`` or ``ms``, what plain numbers count; dates and moments are understood as they are.
    """

    user: str = "user"
    item: str = "item"
    time: str = "time"
    rating: str | None = None
    item_id: str | None = None
    text: tuple[str, ...] = ()
    image_url: str | None = None
    time_unit: str = "s"


def read_movielens(folder: Path) -> Source:
    """A MovieLens folder: ``ratings.csv``, and ``movies.csv`` with titles and genres.

    Raises:
        DataError: A file or column is missing.
    """
    ratings = require_file(folder / "ratings.csv", "MovieLens ratings")
    movies = require_file(folder / "movies.csv", "MovieLens titles and genres")
    names = column_names(ratings)
    user = pick(names, ("userId", "user_id"), ratings)
    item = pick(names, ("movieId", "movie_id"), ratings)
    time = pick(names, ("timestamp",), ratings)
    rating = column("rating") if "rating" in names else "NULL"
    interactions = selected(
        delimited(ratings, names, header=True),
        column(user),
        column(item),
        column(time),
        "s",
        rating,
    )
    titles = column_names(movies)
    key = pick(titles, ("movieId", "movie_id"), movies)
    genres = "CASE genres WHEN '(no genres listed)' THEN NULL ELSE string_split(genres, '|') END"
    fields = [column(pick(titles, ("title",), movies)), *([genres] if "genres" in titles else [])]
    return Source(interactions, described(delimited(movies, titles, header=True), column(key), fields))


def read_atomic(folder: Path, text: Sequence[str]) -> Source:
    """RecBole's atomic files: ``<name>.inter`` with one interaction a line, perhaps ``<name>.item``.

    Args:
        folder: The folder that holds them.
        text: Fields of the ``.item`` file that make the text; none: those named like titles, classes and brands.

    Raises:
        DataError: No or several ``.inter`` files, or a field is missing.
    """
    found = sorted(folder.glob("*.inter"))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder}: expected one <name>.inter, found {listed}; give a folder with train, valid and test "
            "files to 'prepare released'"
        )
    inter = found[0]
    names = _fields(inter)
    interactions = selected(
        delimited(inter, names, header=True, separator="\t", quotes=False),
        column(pick(names, ("user_id",), inter)),
        column(pick(names, ("item_id",), inter)),
        column(pick(names, ("timestamp",), inter)),
        "s",
        column("rating") if "rating" in names else "NULL",
    )
    items = inter.with_suffix(".item")
    if not items.is_file():
        return Source(interactions, None)
    known = _fields(items)
    chosen = [pick(known, (name,), items, "--text") for name in text] or [
        name for name in known if any(word in name.lower() for word in _TEXT_WORDS)
    ]
    if not chosen:
        raise DataError(f"{items}: no field looks like a title among {', '.join(known)}; name some with --text")
    relation = delimited(items, known, header=True, separator="\t", quotes=False)
    return Source(interactions, described(relation, column(pick(known, ("item_id",), items)), columns_sql(chosen)))


def read_table(path: Path, metadata: Path | None, columns: Columns) -> Source:
    """Any CSV, TSV or Parquet file of interactions, and one of items.

    Raises:
        ConfigError: Metadata without text columns.
        DataError: A file or column is missing.
    """
    relation, names = relation_of(path)
    user = pick(names, (columns.user,), path, "--user")
    item = pick(names, (columns.item,), path, "--item")
    time = pick(names, (columns.time,), path, "--time")
    rating = "NULL" if columns.rating is None else column(pick(names, (columns.rating,), path, "--rating"))
    interactions = selected(relation, column(user), column(item), column(time), columns.time_unit, rating)
    if metadata is None:
        return Source(interactions, None)
    if not columns.text:
        raise ConfigError(f"--metadata {metadata}: which columns make the text? Name them with --text")
    described_in, known = relation_of(metadata)
    key = pick(known, (columns.item_id or columns.item,), metadata, "--item-id")
    fields = [column(pick(known, (name,), metadata, "--text")) for name in columns.text]
    url = "NULL"
    if columns.image_url is not None:
        url = column(pick(known, (columns.image_url,), metadata, "--image-url"))
    return Source(interactions, described(described_in, column(key), fields, url))


def _fields(path: Path) -> list[str]:
    cells = header_of(path, "\t")
    without = [cell for cell in cells if ":" not in cell]
    if without:
        raise DataError(f"{path}:1: {without[0]!r} has no type; RecBole's fields are written 'name:type'")
    return distinct_names([cell.partition(":")[0] for cell in cells], f"{path}:1")
