"""``interactions SOURCE OUT``: raw logs and metadata to a domain folder without features."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.commands.base import Command, add_output, settings_from
from missrec_pl.prepare.features.picture_folders import ItemImages
from missrec_pl.prepare.interactions.amazon import EDITIONS, read_amazon
from missrec_pl.prepare.interactions.conversion import Options, convert
from missrec_pl.prepare.interactions.filters import REPEATS, Filters, table_of
from missrec_pl.prepare.interactions.other_sources import Columns, read_atomic, read_movielens, read_table
from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.recipes.archives import as_folder
from missrec_pl.prepare.recipes.reading import Located, locate
from missrec_pl.prepare.recipes.recipe import read_recipe
from missrec_pl.prepare.tables.choices import NOTHING, Choices
from missrec_pl.prepare.tables.id_forms import FORMS
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.times import UNITS, TimeChoice

SOURCE_HELP = "ratings, reviews or table; movielens, atomic, recipes: the folder, or an archive of it"


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="SOURCE", help=SOURCE_HELP)
    add_output(parser, "the domain folder to make")
    add("--dry-run", action="store_true", help="show rows, guesses and what filters keep; write nothing")
    add_reading(parser)
    _add_filters(parser)
    add = parser.add_argument_group("machine").add_argument
    add("--memory", default="3GB", help="DuckDB spills to disk beyond this (default 3GB)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")


def add_reading(parser: ArgumentParser) -> None:
    """Declares what says how raw files are read: format or recipe, columns, forms, pictures."""
    add = parser.add_argument
    add("--format", choices=(*EDITIONS, "movielens", "atomic", "table"), help="what SOURCE is")
    add("--recipe", metavar="NAME", help="instead: a data set that 'prepare recipes' lists, or your own .yaml")
    add("--metadata", metavar="FILE", help="the items' metadata (Amazon, table, recipes)")
    _add_columns(parser)
    _add_forms(parser)
    add = parser.add_argument_group("pictures that are on disk already").add_argument
    add("--images", metavar="FOLDER", help="folder of image files")
    told = (
        "what they are called, such as {id}_main.jpg (default: the id, any ending, numbered ones and folders too)"
    )
    add("--image-name", metavar="NAME", help=told)


def _add_columns(parser: ArgumentParser) -> None:
    add = parser.add_argument_group(
        "columns (not of Amazon's files, whose columns are known, but --text)"
    ).add_argument
    for name in ("user", "item", "time"):
        add(f"--{name}", metavar="COLUMN", help=f"table: default {name}")
    add("--rating", metavar="COLUMN", help="needed for --min-rating only")
    add("--item-id", metavar="COLUMN", help="of the metadata (default: as --item)")
    add("--text", metavar="COLUMN,...", help="of the metadata, in this order")
    add("--image-url", metavar="COLUMN", help="of the metadata, for 'prepare images'")


def _add_forms(parser: ArgumentParser) -> None:
    told = "how files are read, where they do not tell it; FILE=VALUE is for one file alone"
    add = parser.add_argument_group(told).add_argument
    add("--separator", action="append", default=[], metavar="VALUE", help="comma, tab, semicolon, pipe, ...")
    add("--quote", action="append", default=[], metavar="VALUE", help="double, single or none")
    add("--encoding", action="append", default=[], metavar="VALUE", help="such as windows-1252")
    told = "words for nothing in cells (default: NULL, nan, None, N/A, NA and the like); '' for none"
    add("--nothing", metavar="WORD,...", help=told)
    told = "spellings that ids of all files are brought to, such as zeros (no leading ones): " + ", ".join(FORMS)
    add("--id-form", metavar="FORM,...", help=told)
    add("--allow-unmatched", action="store_true", help="go on where half of the items or more match no metadata")
    add("--time-unit", choices=tuple(UNITS), help="of plain numbers (default: told by their size)")
    add("--time-format", metavar="FORMAT", help="of times as texts, such as %%d.%%m.%%Y (default: told by them)")


def _add_filters(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("filters, in this order").add_argument
    add("--skip-bad-rows", action="store_true", default=None, help="rows without user, item or time: leave out")
    add("--since", metavar="DAY", help="first day or moment, such as 2018-01-01 (UTC)")
    add("--until", metavar="DAY", help="last day or moment; a day counts whole")
    told = "default: items without metadata are left out"
    add("--keep-items-without-text", action="store_true", help=told)
    add("--min-rating", type=float, metavar="R", help="lower ratings are no interactions")
    told = "which interactions of a user with one item stay (default first; consecutive: one of a run; all)"
    add("--repeats", choices=REPEATS, help=told)
    add("--sample-users", type=float, metavar="N", help="so many users, or this share of them (0.1)")
    add("--seed", type=int, help="which users --sample-users takes (default 0)")
    told = "users and items with fewer go, repeatedly (default 5)"
    add("--k-core", type=int, metavar="K", help=told)
    add("--k-core-users", type=int, metavar="K", help="for users alone (default: as --k-core)")
    add("--k-core-items", type=int, metavar="K", help="for items alone (default: as --k-core)")


def _run(arguments: Namespace, console: Console) -> None:
    """Amazon, MovieLens, RecBole, data sets by recipe, or your own table -> domain folder without features."""
    source, out = Path(arguments.source), Path(arguments.out)
    with as_folder(source, out) as place, console.status(f"{source}") as status:
        asked = Asked.of(arguments, place)
        options = asked.options(options=_told(arguments))
        converted = convert(asked.read, out, str(source), options, status.update)
    print(*converted.told, *table_of(converted.steps), sep="\n")
    print(f"nothing was written; leave out --dry-run to make {out}" if options.dry_run else out)


@dataclass(frozen=True)
class Asked:
    """What the command line says of a source: by ``--format`` or ``--recipe``."""

    arguments: Namespace
    source: Path
    located: Located | None

    @classmethod
    def of(cls, arguments: Namespace, source: Path) -> "Asked":
        """Checks the flags.

        Raises:
            ConfigError: Flags contradict each other, or the recipe is none.
            DataError: The recipe's files are not there.
        """
        if (arguments.format is None) == (arguments.recipe is None):
            raise ConfigError("say --format, or --recipe NAME ('prepare recipes' lists them)")
        metadata = Path(arguments.metadata) if arguments.metadata else None
        recipe = None if arguments.recipe is None else read_recipe(arguments.recipe)
        return cls(arguments, source, None if recipe is None else locate(recipe, source, metadata))

    def kind(self) -> str:
        """Format or recipe."""
        return str(self.arguments.format or f"recipe {self.arguments.recipe}")

    def options(self, **told: Any) -> Options:
        """How the source is converted; ``told`` joins what the manifest says of it."""
        source = str(Path(self.arguments.source).resolve())
        return settings_from(
            self.arguments,
            Options,
            filters=self.filters(),
            choices=self.choices(),
            times=self.times(),
            images=self.images(),
            told={"source": source, "format": self.kind(), **told},
        )

    def filters(self) -> Filters:
        """The filters: of the command line, else of the recipe, else the usual ones."""
        given = {
            one.name: value
            for one in fields(Filters)
            if (value := getattr(self.arguments, one.name, None)) is not None
        }
        if self.arguments.keep_items_without_text:
            given["require_text"] = False
        return Filters(**{**(self.located.layout.filters if self.located else {}), **given})

    def choices(self) -> Choices:
        """How files are read."""
        given = settings_from(
            self.arguments,
            Choices,
            nothing=_words(self.arguments.nothing, NOTHING),
            id_form=_words(self.arguments.id_form, ()),
        )
        return given if self.located is None else self.located.choices(given)

    def times(self) -> TimeChoice:
        """How times are read."""
        given = TimeChoice(self.arguments.time_unit, self.arguments.time_format)
        return given if self.located is None else self.located.times(given)

    def images(self) -> ItemImages | None:
        """The pictures on disk, if any."""
        if self.arguments.images:
            return ItemImages(Path(self.arguments.images), self.arguments.image_name)
        found = None if self.located is None else self.located.images()
        if found is not None and self.source != Path(self.arguments.source):
            raise ConfigError(f"{self.arguments.source}: its pictures have to stay; unpack the archive first")
        return found

    def read(self, files: RawFiles) -> Source:
        """The relations."""
        columns = settings_from(self.arguments, Columns, text=_words(self.arguments.text, ()))
        if self.located is None:
            return _read(self.arguments, self.source, files, columns)
        return self.located.read(files, columns)


def _read(arguments: Namespace, source: Path, files: RawFiles, columns: Columns) -> Source:
    kind = arguments.format
    metadata = Path(arguments.metadata) if arguments.metadata else None
    if metadata is None and not arguments.keep_items_without_text and kind in (*EDITIONS, "table"):
        raise ConfigError(
            "without --metadata no item has a text: name the file, or pass --keep-items-without-text"
        )
    if kind in EDITIONS:
        _refuse(
            arguments, ("user", "item", "time", "rating", "item_id", "image_url"), "Amazon's columns are known"
        )
        return read_amazon(EDITIONS[kind], files, source, metadata, columns.text)
    if kind == "table":
        return read_table(source, metadata, files, columns)
    _refuse(arguments, ("metadata",), "it lies in the folder SOURCE")
    return (read_movielens if kind == "movielens" else read_atomic)(source, files, columns)


def _refuse(arguments: Namespace, names: tuple[str, ...], reason: str) -> None:
    """Raises ConfigError for flags that would have no effect."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name) is not None]
    if given:
        raise ConfigError(f"{given[0]} does not go with --format {arguments.format}: {reason}")


def _words(given: str | None, default: Sequence[str]) -> tuple[str, ...]:
    return tuple(default) if given is None else tuple(word.strip() for word in given.split(",") if word.strip())


def _told(arguments: Namespace) -> dict[str, object]:
    """What decides about the content; machine settings and the output's name do not."""
    left_out = {"command", "run", "source", "out", "overwrite", "format", "memory", "threads", "dry_run"}
    return {name: value for name, value in sorted(vars(arguments).items()) if name not in left_out}


COMMAND = Command("interactions", _add_arguments, _run)
