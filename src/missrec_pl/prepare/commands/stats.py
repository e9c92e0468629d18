"""``stats DOMAIN...``: the paper's table 1."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.prepare.exchange.statistics import FORMATS, HEADER, statistics_of, total


class Stats:
    """Prints users, items, images, interactions and the average sequence length."""

    name = "stats"
    help = "the paper's table 1 for any domain folders, as text, Markdown or LaTeX"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")
        parser.add_argument("--format", choices=FORMATS, default="text", help="default text")
        parser.add_argument("--total", metavar="NAME", help="a first row with the sums, under this name")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Prints the table."""
        parts = [statistics_of(Path(path)) for path in arguments.domains]
        whole = [total(arguments.total, parts)] if arguments.total else []
        print(FORMATS[arguments.format]([HEADER, *(part.cells() for part in (*whole, *parts))]))
