"""MovieLens, RecBole's atomic files, and tables whose columns the user names."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.database import column
from missrec_pl.prepare.interactions.tables import (
    Source,
    column_names,
    delimited,
    described,
    distinct_names,
    header_of,
    pick,
    relation_of,
    require_file,
    selected,
)

_LIST_WORDS = ("categor", "genre", "class")
_TEXT_WORDS = ("title", "name", *_LIST_WORDS, "brand")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what."""

    # Of the interactions:
    user: str = "user"
    item: str = "item"
    time: str = "time"
    rating: str | None = None
    # Of the metadata:
    item_id: str | None = None  # None: named like ``item``
    text: tuple[str, ...] = ()  # in the order in which the text names them
    image_url: str | None = None
    time_unit: str = "s"  # ``s`` or ``ms``, what plain numbers count; dates and moments are understood as they are


def read_movielens(folder: Path) -> Source:
    """A MovieLens folder: ``ratings.csv``, and ``movies.csv`` with titles and genres.

    Raises:
        DataError: A file or column is missing.
    """
    ratings = require_file(folder / "ratings.csv", "MovieLens ratings")
    movies = require_file(folder / "movies.csv", "MovieLens titles and genres")
    names, titles = column_names(ratings), column_names(movies)
    columns = Columns(
        user=pick(names, ("userId", "user_id"), ratings),
        item=pick(names, ("movieId", "movie_id"), ratings),
        time="timestamp",
        rating="rating" if "rating" in names else None,
    )
    interactions = _interactions(delimited(ratings, names, header=True), names, columns, ratings, flags=False)
    key = column(pick(titles, ("movieId", "movie_id"), movies))
    fields = [column(pick(titles, ("title",), movies))]
    if "genres" in titles:
        fields.append("CASE genres WHEN '(no genres listed)' THEN NULL ELSE string_split(genres, '|') END")
    items = described(delimited(movies, titles, header=True), key, fields)
    return Source(interactions, items, 1 if "genres" in titles else None)


def read_atomic(folder: Path, text: Sequence[str]) -> Source:
    """RecBole's atomic files: ``<name>.inter`` with one interaction a line, perhaps ``<name>.item``.

    ``text`` names the ``.item`` fields that make the text; by default those named like titles, classes and brands.

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
    relation, names = _atomic(found[0])
    columns = Columns("user_id", "item_id", "timestamp", "rating" if "rating" in names else None)
    interactions = _interactions(relation, names, columns, found[0], flags=False)
    items = found[0].with_suffix(".item")
    if not items.is_file():
        return Source(interactions, None)
    relation, known = _atomic(items)
    chosen = [pick(known, (name,), items, "--text") for name in text] or [
        name for name in known if any(word in name.lower() for word in _TEXT_WORDS)
    ]
    if not chosen:
        raise DataError(f"{items}: no field looks like a title among {', '.join(known)}; name some with --text")
    key = column(pick(known, ("item_id",), items))
    return Source(interactions, described(relation, key, [column(name) for name in chosen]), _listing(chosen))


def read_table(path: Path, metadata: Path | None, columns: Columns) -> Source:
    """Any CSV, TSV or Parquet file of interactions, and one of items.

    Raises:
        ConfigError: Metadata without text columns.
        DataError: A file or column is missing.
    """
    relation, names = relation_of(path)
    interactions = _interactions(relation, names, columns, path)
    if metadata is None:
        return Source(interactions, None)
    if not columns.text:
        raise ConfigError(f"--metadata {metadata}: which columns make the text? Name them with --text")
    relation, known = relation_of(metadata)
    key = column(pick(known, (columns.item_id or columns.item,), metadata, "--item-id"))
    fields = [column(pick(known, (name,), metadata, "--text")) for name in columns.text]
    url = "NULL"
    if columns.image_url is not None:
        url = column(pick(known, (columns.image_url,), metadata, "--image-url"))
    return Source(interactions, described(relation, key, fields, url), _listing(columns.text))


def _listing(names: Sequence[str]) -> int | None:
    """Which column is named like categories; None: none is."""
    found = (number for number, name in enumerate(names) if any(word in name.lower() for word in _LIST_WORDS))
    return next(found, None)


def _interactions(relation: str, names: Sequence[str], columns: Columns, path: Path, *, flags: bool = True) -> str:
    """The ``SELECT`` of interactions; ``flags``: messages about a missing column name the flag that chooses it."""
    wanted = {"user": columns.user, "item": columns.item, "time": columns.time, "rating": columns.rating}
    sql = {
        what: column(pick(names, (name,), path, f"--{what}" if flags else None))
        for what, name in wanted.items()
        if name is not None
    }
    return selected(relation, **sql, unit=columns.time_unit)


def _atomic(path: Path) -> tuple[str, list[str]]:
    """A file of RecBole's as a relation, and its fields without their types."""
    cells = header_of(path, "\t")
    without = [cell for cell in cells if ":" not in cell]
    if without:
        raise DataError(f"{path}:1: {without[0]!r} has no type; RecBole's fields are written 'name:type'")
    names = distinct_names([cell.partition(":")[0] for cell in cells], f"{path}:1")
    return delimited(path, names, header=True, separator="\t", quotes=False), names
