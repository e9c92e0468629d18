"""``interactions SOURCE OUT``: raw logs and metadata to a domain folder without features."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.commands.base import Command, add_output, settings_from
from missrec_pl.prepare.features.picture_folders import ItemImages
from missrec_pl.prepare.interactions.amazon import EDITIONS, read_amazon
from missrec_pl.prepare.interactions.cleaning import REPEATS, Filters
from missrec_pl.prepare.interactions.conversion import Options, convert
from missrec_pl.prepare.interactions.other_sources import Columns, read_atomic, read_movielens, read_table
from missrec_pl.prepare.interactions.source import Source
from missrec_pl.prepare.tables.choices import NOTHING, Choices
from missrec_pl.prepare.tables.raw_files import RawFiles
from missrec_pl.prepare.tables.times import UNITS, TimeChoice


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="SOURCE", help="ratings or reviews file; movielens, atomic: the folder")
    add_output(parser, "the domain folder to make")
    add("--format", required=True, choices=(*EDITIONS, "movielens", "atomic", "table"), help="what SOURCE is")
    add("--metadata", metavar="FILE", help="the items' metadata (Amazon, table)")
    _add_columns(parser)
    _add_reading(parser)
    _add_filters(parser)
    add = parser.add_argument_group("pictures that are on disk already").add_argument
    add("--images", metavar="FOLDER", help="folder of image files")
    told = (
        "what they are called, such as {id}_main.jpg (default: the id, any ending, numbered ones and folders too)"
    )
    add("--image-name", metavar="NAME", help=told)
    add = parser.add_argument_group("machine").add_argument
    add("--memory", default="3GB", help="DuckDB spills to disk beyond this (default 3GB)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")


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


def _add_reading(parser: ArgumentParser) -> None:
    told = "how files are read, where they do not tell it; FILE=VALUE is for one file alone"
    add = parser.add_argument_group(told).add_argument
    add("--separator", action="append", default=[], metavar="VALUE", help="comma, tab, semicolon, pipe, ...")
    add("--quote", action="append", default=[], metavar="VALUE", help="double, single or none")
    add("--encoding", action="append", default=[], metavar="VALUE", help="such as windows-1252")
    told = "words for nothing in cells (default: NULL, nan, None, N/A, NA and the like); '' for none"
    add("--nothing", metavar="WORD,...", help=told)
    add("--time-unit", choices=tuple(UNITS), help="of plain numbers (default: told by their size)")
    add("--time-format", metavar="FORMAT", help="of times as texts, such as %%d.%%m.%%Y (default: told by them)")


def _add_filters(parser: ArgumentParser) -> None:
    add = parser.add_argument_group("filters, in this order").add_argument
    add("--skip-bad-rows", action="store_true", help="rows without user, item or time: leave out")
    told = "default: items without metadata are left out"
    add("--keep-items-without-text", action="store_true", help=told)
    add("--min-rating", type=float, metavar="R", help="lower ratings are no interactions")
    told = "which interaction with an item stays (default first)"
    add("--repeats", choices=REPEATS, default="first", help=told)
    told = "users and items with fewer go, repeatedly (default 5)"
    add("--k-core", type=int, default=5, metavar="K", help=told)


def _run(arguments: Namespace, console: Console) -> None:
    """Amazon Reviews, MovieLens, RecBole atomic files or your own table -> domain folder without features."""
    source, out = Path(arguments.source), Path(arguments.out)
    options = settings_from(
        arguments,
        Options,
        filters=settings_from(arguments, Filters, require_text=not arguments.keep_items_without_text),
        choices=settings_from(arguments, Choices, nothing=_words(arguments.nothing, NOTHING)),
        times=TimeChoice(arguments.time_unit, arguments.time_format),
        images=ItemImages(Path(arguments.images), arguments.image_name) if arguments.images else None,
        told={"source": str(source.resolve()), "format": arguments.format, "options": _told(arguments)},
    )
    with console.status(f"{source}") as status:
        converted = convert(lambda files: _read(arguments, files), out, str(source), options, status.update)
    for step in converted.steps:
        counts = f"{step.interactions:>13,} interactions {step.users:>10,} users {step.items:>9,} items"
        print(f"{step.name:<34}{counts}")
    print(*converted.told, out, sep="\n")


def _read(arguments: Namespace, files: RawFiles) -> Source:
    source, kind = Path(arguments.source), arguments.format
    metadata = Path(arguments.metadata) if arguments.metadata else None
    if metadata is None and not arguments.keep_items_without_text and kind in (*EDITIONS, "table"):
        raise ConfigError(
            "without --metadata no item has a text: name the file, or pass --keep-items-without-text"
        )
    text = _words(arguments.text, ())
    if kind in EDITIONS:
        _refuse(
            arguments, ("user", "item", "time", "rating", "item_id", "image_url"), "Amazon's columns are known"
        )
        return read_amazon(EDITIONS[kind], files, source, metadata, text)
    columns = settings_from(arguments, Columns, text=text)
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
    left_out = {"command", "run", "source", "out", "overwrite", "format", "memory", "threads"}
    return {name: value for name, value in sorted(vars(arguments).items()) if name not in left_out}


COMMAND = Command("interactions", _add_arguments, _run)
