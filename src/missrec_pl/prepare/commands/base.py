"""What a preparation command looks like."""

from argparse import ArgumentParser, Namespace
from typing import Protocol

from rich.console import Console


class Command(Protocol):
    """One sub-command of ``python -m missrec_pl.prepare``.

    Attributes:
        name: The word that calls it.
        help: One line for ``--help``.
    """

    name: str
    help: str

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        ...

    def run(self, arguments: Namespace, console: Console) -> None:
        """Does the work.

        Raises:
            MissrecError: A mistake that the user can mend.
        """
        ...


def add_output(parser: ArgumentParser, what: str) -> None:
    """Declares the arguments of a command that writes: ``OUT`` and ``--overwrite``."""
    parser.add_argument("out", metavar="OUT", help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
