"""A recipe applied to files: which files they are, and the relations that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from missrec_pl.errors import ConfigError, DataError
from missrec_pl.prepare.features.picture_folders import ItemImages
from missrec_pl.prepare.interactions.amazon import EDITIONS, read_amazon
from missrec_pl.prepare.interactions.other_sources import Columns, read_atomic, read_movielens, source_of
from missrec_pl.prepare.interactions.source import Source, pick
from missrec_pl.prepare.recipes.recipe import ItemFiles, Layout, LogFiles, Names, Recipe, TableFiles
from missrec_pl.prepare.tables.choices import Choices
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.sql import column, quoted
from missrec_pl.prepare.tables.table import Table, joined
from missrec_pl.prepare.tables.times import TimeChoice


@dataclass(frozen=True)
class Located:
    """The layout that a source has, and its files."""

    recipe: Recipe
    layout: Layout
    source: Path  # the folder
    logs: tuple[Path, ...]
    items: tuple[Path, ...]
    pictures: Path | None

    def images(self) -> ItemImages | None:
        """The picture files, if there are any."""
        wanted = self.layout.pictures
        return None if wanted is None or self.pictures is None else ItemImages(self.pictures, wanted.name)

    def choices(self, given: Choices) -> Choices:
        """How the files are written, by the recipe; what the command line says comes first."""
        found: dict[str, list[str]] = {
            name: [*getattr(given, name)] for name in ("separator", "quote", "encoding")
        }
        for files, part in ((self.logs, self.layout.interactions), (self.items, self.layout.metadata)):
            for name, values in found.items():
                value = getattr(part, name, None)
                if value is not None and not getattr(given, name):
                    values += [f"{file.name}={value}" for file in files]
        return replace(given, separator=found["separator"], quote=found["quote"], encoding=found["encoding"])

    def times(self, given: TimeChoice) -> TimeChoice:
        """How times are written, likewise."""
        log = self.layout.interactions
        if given.form is not None or given.unit is not None:
            return given
        return TimeChoice(log.time_unit, log.time_format)

    def read(self, files: RawFiles, columns: Columns) -> Source:
        """The relations; ``columns`` that the command line names replace the recipe's.

        Raises:
            DataError: A file is damaged, or a column is missing.
        """
        layout = self.layout
        if layout.format in EDITIONS:
            metadata = self.items[0] if self.items else None
            return read_amazon(EDITIONS[layout.format], files, self.logs[0], metadata, columns.text)
        if layout.format in ("atomic", "movielens"):
            read = read_atomic if layout.format == "atomic" else read_movielens
            return read(self.logs[0].parent, files, columns)
        log, items = layout.interactions, layout.metadata
        table = _log(files, self.logs, log)
        known = None if items is None or not self.items else _items(files, self.items, items)
        wanted = Columns(
            user=columns.user or _first(log.user, table, "user"),
            item=columns.item or _first(log.item, table, "item"),
            time=columns.time or _first(log.time, table, "time"),
            rating=columns.rating or next((name for name in log.rating if name in table.names), None),
        )
        if known is None or items is None:
            return source_of(table, None, wanted, files)
        text = columns.text or tuple(_first(tuple(name.split("|")), known, "text") for name in items.text)
        ids = columns.item_id or _first(items.item, known, "item")
        picture = columns.image_url or (items.image_url if items.image_url in known.names else None)
        source = source_of(table, known, replace(wanted, item_id=ids, text=text, image_url=picture), files)
        if items.attributes is None:
            return source
        return replace(source, attributes=text.index(items.attributes) if items.attributes in text else None)


def locate(recipe: Recipe, source: Path, metadata: Path | None = None) -> Located:
    """Finds the recipe's files in a folder; the first layout that is there counts.

    A file may be given instead of the folder: it then holds the interactions, and the items lie beside it.

    Raises:
        ConfigError: The source does not exist.
        DataError: No layout of the recipe is there; names what was looked for and what was found.
    """
    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder")
    folder = source if source.is_dir() else source.parent
    for layout in recipe.layouts:
        logs = _found(folder, layout.interactions.files) if source.is_dir() else (source,)
        if not logs:
            continue
        items: tuple[Path, ...] = (metadata,) if metadata is not None else ()
        if not items and layout.metadata is not None:
            items = _found(folder, layout.metadata.files)
        pictures = _found(folder, layout.pictures.folder, folders=True) if layout.pictures is not None else ()
        return Located(recipe, layout, folder, logs, items, pictures[0] if pictures else None)
    wanted = " or ".join(" or ".join(layout.interactions.files) for layout in recipe.layouts)
    there = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8]) or "nothing"
    raise DataError(f"{source}: recipe {recipe.name} looks for {wanted}, found {there}")


def _found(folder: Path, patterns: Names, *, folders: bool = False) -> tuple[Path, ...]:
    """What the first pattern matches that matches anything, in the folder or one folder below it."""
    for pattern in patterns:
        for place in (pattern, f"*/{pattern}"):
            found = sorted(path for path in folder.glob(place) if (path.is_dir() if folders else path.is_file()))
            if found:
                packed = {path.with_suffix("") for path in found if path.suffix in (".gz", ".zip", ".bz2", ".zst")}
                return tuple(path for path in found if path not in packed) or tuple(found)
    return ()


def _first(choices: Names, table: Table, what: str) -> str:
    flag = f"--{what}" if what != "rating" else None
    return pick(table.names, choices, table.path, flag)


def _tables(files: RawFiles, paths: tuple[Path, ...], part: TableFiles) -> Table:
    tables = [files.table(path, (), part.names or None) for path in paths]
    table = tables[0] if len(tables) == 1 else joined(tables, paths[0].parent)
    return _where(table, part.where)


def _where(table: Table, where: Mapping[str, Names]) -> Table:
    if not where:
        return table
    wanted = [
        f"{table.text(_first((name,), table, 'rating'))} IN ({', '.join(map(quoted, values))})"
        for name, values in where.items()
    ]
    return replace(table, relation=f"(SELECT * FROM {table.relation} WHERE {' AND '.join(wanted)})", rows=None)


def _log(files: RawFiles, paths: tuple[Path, ...], part: LogFiles) -> Table:
    table = _tables(files, paths, part)
    for name, separator in part.split.items():
        cell = column(name)
        parts = f"unnest(string_split({table.text(name)}, {quoted(separator)}))"
        inner = f"SELECT * EXCLUDE ({cell}), {parts} AS {cell} FROM {table.relation} WHERE {cell} IS NOT NULL"
        entry, wanted = cell, f"{cell} <> ''"
        if part.pattern is not None:
            entry = f"regexp_extract({cell}, {quoted(part.pattern)}, 1)"
            wanted = f"regexp_full_match({cell}, {quoted(part.pattern)})"
        relation = f"(SELECT * EXCLUDE ({cell}), {entry} AS {cell} FROM ({inner}) WHERE {wanted})"
        table = replace(table, relation=relation, types={**table.types, name: "VARCHAR"}, rows=None)
    return table


def _items(files: RawFiles, paths: tuple[Path, ...], part: ItemFiles) -> Table:
    table = _tables(files, paths, part)
    if part.pairs:
        table = _pivoted(table, part)
    for name, separator in part.lists.items():
        if name in table.names:
            made = f"to_json(string_split({table.text(name)}, {quoted(separator)}))"
            relation = f"(SELECT * REPLACE ({made} AS {column(name)}) FROM {table.relation})"
            table = replace(table, relation=relation, types={**table.types, name: "JSON"})
    for name, columns in part.flags.items():
        cells = [f"CASE WHEN {table.text(one)} = '1' THEN {quoted(one)} END" for one in columns]
        made = f"to_json(list_filter([{', '.join(cells)}], lambda one: one IS NOT NULL))"
        relation = f"(SELECT *, {made} AS {column(name)} FROM {table.relation})"
        table = replace(table, relation=relation, types={**table.types, name: "JSON"})
    return table


def _pivoted(table: Table, part: ItemFiles) -> Table:
    """One row an item from one row a property; of several values of a property the last row's text counts."""
    for name in ("key", "value"):
        if name not in part.pairs:
            raise ConfigError(f"recipe: pairs needs {name!r}, the column of the property's {name}")
    item = _first(part.item, table, "item")
    key, value = (table.text(_first((part.pairs[name],), table, "text")) for name in ("key", "value"))
    names = dict.fromkeys(name for text in part.text for name in text.split("|"))
    cells = ", ".join(f"max({value}) FILTER ({key} = {quoted(name)}) AS {column(name)}" for name in names)
    relation = f"(SELECT {table.text(item)} AS {column(item)}, {cells} FROM {table.relation} GROUP BY 1)"
    return Table(table.path, relation, dict.fromkeys([item, *names], "VARCHAR"), None)
