"""MovieLens, RecBole's atomic files, and tables whose columns the user names."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.interactions.source import Source, described, id_sql, pick, selected
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import column
from missrec_pl.prepare.tables.table import Table, distinct_names, joined, require_file

_LIST_WORDS = ("categor", "genre", "class")
_TEXT_WORDS = ("title", "name", *_LIST_WORDS, "brand")
_OTHERS = 20  # columns that are tried as ids where the metadata do not match
_HISTORY = "item_id_list"  # the field of files that hold a history in a row


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what; None: as the format calls it."""

    # Of the interactions:
    user: str | None = None
    item: str | None = None
    time: str | None = None
    rating: str | None = None
    # Of the metadata:
    item_id: str | None = None  # None: named like ``item``
    text: tuple[str, ...] = ()  # in the order in which the text names them
    image_url: str | None = None


def read_movielens(folder: Path, files: RawFiles, columns: Columns) -> Source:
    """A MovieLens folder: ``ratings.csv``, and ``movies.csv`` with titles and genres.

    Raises:
        DataError: A file or column is missing.
    """
    ratings = files.table(require_file(folder / "ratings.csv", "MovieLens ratings"), ("timestamp",))
    movies = files.table(require_file(folder / "movies.csv", "MovieLens titles and genres"), ("title",))
    usual = Columns(
        user=pick(ratings.names, [columns.user or "userId", "user_id"], ratings.path),
        item=pick(ratings.names, [columns.item or "movieId", "movie_id"], ratings.path),
        time=columns.time or "timestamp",
        rating=columns.rating or ("rating" if "rating" in ratings.names else None),
        item_id=pick(movies.names, [columns.item_id or "movieId", "movie_id"], movies.path),
        text=columns.text or ("title", *(name for name in ("genres",) if name in movies.names)),
        image_url=columns.image_url,
    )
    genres = "CASE genres WHEN '(no genres listed)' THEN NULL ELSE string_split(genres, '|') END"
    return source_of(ratings, movies, usual, files, {"genres": genres})


def read_atomic(folder: Path, files: RawFiles, columns: Columns) -> Source:
    """RecBole's atomic files: ``<name>.inter``, whole or in parts, a row an interaction; perhaps ``<name>.item``.

    ``columns.text`` names the ``.item`` fields that make the text; by default those named like titles, classes and
    brands.

    Raises:
        DataError: No ``.inter`` file, files of several data sets, or a field is missing.
    """
    found = sorted(folder.glob("*.inter"))
    names = {path.name.partition(".")[0] for path in found}
    whole = [path for path in found if path.name.count(".") == 1]
    if len(names) != 1 or (whole and len(found) > 1):
        listed = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder}: expected one <name>.inter, or its parts <name>.train.inter and so on, found {listed}"
        )
    table = joined([_atomic(path, files) for path in found], found[0] if whole else folder)
    if _HISTORY in table.names:
        raise DataError(
            f"{table.path}: rows of whole histories ({_HISTORY}); give the folder to 'prepare released'"
        )
    rating = columns.rating or ("rating" if "rating" in table.names else None)
    usual = replace(
        columns,
        user=columns.user or "user_id",
        item=columns.item or "item_id",
        time=columns.time or "timestamp",
        rating=rating,
    )
    path = folder / f"{names.pop()}.item"
    if not path.is_file():
        return source_of(table, None, usual, files)
    items = _atomic(path, files)
    chosen = columns.text or tuple(
        name for name in items.names if any(word in name.lower() for word in _TEXT_WORDS)
    )
    if not chosen:
        raise DataError(
            f"{path}: no field looks like a title among {', '.join(items.names)}; name some with --text"
        )
    return source_of(table, items, replace(usual, item_id=columns.item_id or "item_id", text=chosen), files)


def read_table(path: Path, metadata: Path | None, files: RawFiles, columns: Columns) -> Source:
    """Any table of interactions, and one of items: of any kind that :class:`RawFiles` reads.

    Raises:
        ConfigError: Metadata without text columns.
        DataError: A file or column is missing.
    """
    usual = replace(columns, user=columns.user or "user", item=columns.item or "item", time=columns.time or "time")
    wanted = [name for name in (usual.user, usual.item, usual.time, usual.rating) if name is not None]
    table = files.table(path, wanted)
    if metadata is None:
        return source_of(table, None, usual, files)
    if not columns.text:
        raise ConfigError(f"--metadata {metadata}: which columns make the text? Name them with --text")
    items = files.table(metadata, [columns.item_id or usual.item or "item", *columns.text])
    return source_of(table, items, usual, files)


def source_of(
    table: Table, items: Table | None, columns: Columns, files: RawFiles, fields: dict[str, str] | None = None
) -> Source:
    """The source of two tables of known columns; ``fields`` has SQL of text columns that are not read as they are.

    Raises:
        DataError: A column is missing; names the flag that chooses another.
    """
    nothing = files.choices.nothing
    names = {
        what: pick(table.names, (name,), table.path, f"--{what}")
        for what in ("user", "item", "time", "rating")
        if (name := getattr(columns, what)) is not None
    }
    interactions = selected(table, **names, nothing=nothing)
    source = Source(
        interactions, None, log=table.path, time=names["time"], rating=names.get("rating"), rows=table.rows
    )
    if items is None:
        return source
    id_column = pick(items.names, (columns.item_id or names["item"],), items.path, "--item-id")
    key = items.id_text(id_column)
    others = [name for name in items.names if name != id_column][:_OTHERS]
    text = [pick(items.names, (name,), items.path, "--text") for name in columns.text]
    cells = [(fields or {}).get(name, column(name)) for name in text]
    picture = "NULL"
    if columns.image_url is not None:
        picture = column(pick(items.names, (columns.image_url,), items.path, "--image-url"))
    return replace(
        source,
        items=described(items, key, cells, picture, nothing),
        attributes=_listing(text),
        metadata=items.path,
        item_rows=items.rows,
        other_ids={
            name: f"SELECT {id_sql(items.text(name), nothing)} AS id FROM {items.relation}" for name in others
        },
    )


def _listing(names: Sequence[str]) -> int | None:
    """Which column is named like categories; None: none is."""
    found = (number for number, name in enumerate(names) if any(word in name.lower() for word in _LIST_WORDS))
    return next(found, None)


def _atomic(path: Path, files: RawFiles) -> Table:
    """A file of RecBole's, its fields without their types."""
    cells = files.dialect(path).cells
    without = [cell for cell in cells if ":" not in cell]
    if without:
        raise DataError(f"{path}:1: {without[0]!r} has no type; RecBole's fields are written 'name:type'")
    table = files.table(path)
    names = distinct_names([cell.partition(":")[0] for cell in cells], f"{path}:1")
    renamed = ", ".join(f"{column(old)} AS {column(new)}" for old, new in zip(table.names, names, strict=True))
    return replace(
        table, relation=f"(SELECT {renamed} FROM {table.relation})", types=dict.fromkeys(names, "VARCHAR")
    )
