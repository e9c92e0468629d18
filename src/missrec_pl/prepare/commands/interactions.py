"""``interactions SOURCE OUT``: raw logs and metadata to a domain folder without features."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.errors import ConfigError
from missrec_pl.prepare.commands.base import add_output
from missrec_pl.prepare.interactions import Options, convert
from missrec_pl.prepare.interactions.amazon import EDITIONS, read_amazon
from missrec_pl.prepare.interactions.cleaning import REPEATS, Filters
from missrec_pl.prepare.interactions.item_images import ItemImages
from missrec_pl.prepare.interactions.other_sources import Columns, read_atomic, read_movielens, read_table
from missrec_pl.prepare.interactions.tables import Source

FORMATS = (*EDITIONS, "movielens", "atomic", "table")


class Interactions:
    """Converts raw logs."""

    name = "interactions"
    help = "Amazon Reviews, MovieLens, RecBole atomic files or your own table -> domain folder without features"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument(
            "source", metavar="SOURCE", help="ratings or reviews file; movielens, atomic: the folder"
        )
        add_output(parser, "the domain folder to make")
        parser.add_argument("--format", required=True, choices=FORMATS, help="what SOURCE is")
        parser.add_argument("--metadata", metavar="FILE", help="the items' metadata (Amazon, table)")
        _add_columns(parser)
        _add_filters(parser)
        images = parser.add_argument_group("pictures that are on disk already")
        images.add_argument("--images", metavar="FOLDER", help="folder of image files")
        images.add_argument("--image-name", metavar="NAME", default="{id}.jpg", help="default {id}.jpg")
        machine = parser.add_argument_group("machine")
        machine.add_argument("--memory", default="3GB", help="DuckDB spills to disk beyond this (default 3GB)")
        machine.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Converts, with a line of status, then prints what each filter left."""
        source, out = Path(arguments.source), Path(arguments.out)
        options = Options(
            filters=Filters(
                skip_bad_rows=arguments.skip_bad_rows,
                min_rating=arguments.min_rating,
                require_text=not arguments.keep_items_without_text,
                repeats=arguments.repeats,
                k_core=arguments.k_core,
            ),
            images=ItemImages(Path(arguments.images), arguments.image_name) if arguments.images else None,
            memory=arguments.memory,
            threads=arguments.threads,
            overwrite=arguments.overwrite,
            told={"source": str(source.resolve()), "format": arguments.format, "options": _told(arguments)},
        )
        with console.status(f"{source}") as status:
            steps = convert(lambda work: _read(arguments, work), out, str(source), options, status.update)
        for step in steps:
            counts = f"{step.interactions:>13,} interactions {step.users:>10,} users {step.items:>9,} items"
            print(f"{step.name:<34}{counts}")
        print(out)


def _read(arguments: Namespace, work: Path) -> Source:
    source = Path(arguments.source)
    metadata = Path(arguments.metadata) if arguments.metadata else None
    if metadata is None and not arguments.keep_items_without_text and arguments.format in (*EDITIONS, "table"):
        raise ConfigError(
            "without --metadata no item has a text: name the file, or pass --keep-items-without-text"
        )
    if arguments.format in EDITIONS:
        return read_amazon(EDITIONS[arguments.format], source, metadata, work)
    if metadata is not None and arguments.format != "table":
        raise ConfigError(f"--metadata does not go with --format {arguments.format}: it lies in the folder SOURCE")
    if arguments.format == "movielens":
        return read_movielens(source)
    text = tuple(name.strip() for name in (arguments.text or "").split(",") if name.strip())
    if arguments.format == "atomic":
        return read_atomic(source, text)
    columns = Columns(
        user=arguments.user,
        item=arguments.item,
        time=arguments.time,
        rating=arguments.rating,
        item_id=arguments.item_id,
        text=text,
        image_url=arguments.image_url,
        time_unit=arguments.time_unit,
    )
    return read_table(source, metadata, columns)


def _add_columns(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("columns (--format table)")
    for name in ("user", "item", "time"):
        group.add_argument(f"--{name}", metavar="COLUMN", default=name, help=f"default {name}")
    group.add_argument("--rating", metavar="COLUMN", help="needed for --min-rating only")
    group.add_argument("--time-unit", choices=("s", "ms"), default="s", help="of plain numbers (default s)")
    group.add_argument("--item-id", metavar="COLUMN", help="of the metadata (default: as --item)")
    group.add_argument("--text", metavar="COLUMN,...", help="of the metadata, in this order (atomic: fields)")
    group.add_argument("--image-url", metavar="COLUMN", help="of the metadata, for 'prepare images'")


def _add_filters(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("filters, in this order")
    group.add_argument("--skip-bad-rows", action="store_true", help="rows without user, item or time: leave out")
    group.add_argument(
        "--keep-items-without-text", action="store_true", help="default: items without metadata are left out"
    )
    group.add_argument("--min-rating", type=float, metavar="R", help="lower ratings are no interactions")
    group.add_argument(
        "--repeats", choices=REPEATS, default="first", help="which interaction with an item stays (default first)"
    )
    group.add_argument(
        "--k-core", type=int, default=5, metavar="K", help="users and items with fewer go, repeatedly (default 5)"
    )


def _told(arguments: Namespace) -> dict[str, object]:
    """What decides about the content; machine settings and the output's name do not."""
    left_out = {"command", "run", "source", "out", "overwrite", "format", "memory", "threads"}
    return {name: value for name, value in sorted(vars(arguments).items()) if name not in left_out}
