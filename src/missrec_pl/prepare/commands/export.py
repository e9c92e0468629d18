"""``export DOMAIN OUT``: a domain folder in the formats of the authors' program and of RecBole."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.prepare.commands.base import add_output
from missrec_pl.prepare.exchange.recbole_files import write_recbole
from missrec_pl.prepare.exchange.released_files import write_released

_LAYOUTS = {"released": write_released, "recbole": write_recbole}


class Export:
    """Writes other programs' files."""

    name = "export"
    help = "domain folder -> released files (authors, UniSRec, RecBole benchmark) or RecBole's plain atomic files"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domain", metavar="DOMAIN", help="domain folder")
        add_output(parser, "the folder to make; its name is the files' name")
        parser.add_argument(
            "--layout",
            choices=_LAYOUTS,
            default="released",
            help="released: rows of histories, split (default); recbole: one line for each interaction",
        )

    def run(self, arguments: Namespace, console: Console) -> None:
        """Writes, with a line of status."""
        out = Path(arguments.out)
        with console.status(f"writing {out}"):
            write = _LAYOUTS[arguments.layout]
            print(write(Path(arguments.domain), out, name=out.name, overwrite=arguments.overwrite))
