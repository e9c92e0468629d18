"""``released SOURCE OUT``: a released folder to native domain folders."""

from argparse import ArgumentParser, Namespace

from rich.console import Console

from missrec_pl.data.released import convert_released
from missrec_pl.prepare.commands.base import add_output


class Released:
    """Converts a released folder."""

    name = "released"
    help = "a folder in the authors' released format (UniSRec/RecBole atomic files)"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("source", metavar="SOURCE", help="folder with <name>.train.inter")
        add_output(parser, "the domain folder; a merged source gives one folder for each domain inside it")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Converts, with a line of status."""
        with console.status(f"converting {arguments.source}"):
            paths = convert_released(arguments.source, arguments.out, overwrite=arguments.overwrite)
        for path in paths:
            print(path)
