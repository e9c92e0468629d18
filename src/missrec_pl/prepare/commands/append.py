"""``append DOMAIN SOURCE``: new interactions and items for a domain folder that is there."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.prepare.commands.base import Command
from missrec_pl.prepare.commands.interactions import SOURCE_HELP, Asked, add_reading
from missrec_pl.prepare.interactions.growing import grow
from missrec_pl.prepare.recipes.archives import as_folder


def _add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("domain", metavar="DOMAIN", help="domain folder, which is replaced whole or stays as it is")
    add("source", metavar="SOURCE", help=SOURCE_HELP)
    add_reading(parser)
    add = parser.add_argument_group("filters").add_argument
    add("--skip-bad-rows", action="store_true", default=None, help="rows without user, item or time: leave out")
    add("--since", metavar="DAY", help="first day or moment of what is new, such as 2018-01-01 (UTC)")
    add("--until", metavar="DAY", help="last day or moment; a day counts whole")
    add("--keep-items-without-text", action="store_true", help="default: new items need a text")
    add("--min-rating", type=float, metavar="R", help="lower ratings are no interactions")
    told = "first (default): a pair that is there stays as it is; all: repeated interactions join"
    add("--repeats", choices=("first", "all"), help=told)
    add = parser.add_argument_group("machine").add_argument
    add("--memory", default="3GB", help="DuckDB spills to disk beyond this (default 3GB)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="default: all cores")


def _run(arguments: Namespace, console: Console) -> None:
    """New interactions and items join a domain folder; ids stay, and features of new items are to be made."""
    source, domain = Path(arguments.source), Path(arguments.domain)
    with as_folder(source, domain) as place, console.status(f"{source}") as status:
        asked = Asked.of(arguments, place)
        options = asked.options()
        grown = grow(domain, asked.read, str(source), options, status.update)
    print(*grown.told, sep="\n", end="\n" if grown.told else "")
    print(
        f"{domain}: {grown.interactions:,} interactions, {grown.users:,} users and {grown.items:,} items are new"
    )
    if grown.items:
        print(
            "new items have no features yet: python -m missrec_pl.prepare features --missing, by the same encoder"
        )


COMMAND = Command("append", _add_arguments, _run)
