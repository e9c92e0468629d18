"""``doctor SOURCE``: what raw data are, and how to read them."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.prepare.commands.base import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a file, folder or archive, whatever it is")


def _run(arguments: Namespace, console: Console) -> None:
    """Say of any file, folder or archive what it is, how it would be read, what is odd, and the command to use."""
    from missrec_pl.prepare.inspection.source import inspect  # with DuckDB: --help does not wait for it

    with console.status(f"reading {arguments.source}"):
        report = inspect(Path(arguments.source))
    print(*report.lines(), sep="\n")


COMMAND = Command("doctor", _add_arguments, _run)
