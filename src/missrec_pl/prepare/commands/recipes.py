"""``recipes``: the data sets that can be read by name."""

from argparse import ArgumentParser, Namespace

from rich.console import Console

from missrec_pl.prepare.commands.base import Command
from missrec_pl.prepare.recipes.recipe import read_recipe, shipped


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this one, to copy and change it")


def _run(arguments: Namespace, console: Console) -> None:
    """The data sets that 'interactions --recipe NAME' reads; with a name, the recipe itself."""
    if arguments.name is not None:
        print(read_recipe(arguments.name).path.read_text(encoding="utf-8"), end="")
        return
    for name in shipped():
        print(f"{name:<22}{read_recipe(name).about}")


COMMAND = Command("recipes", _add_arguments, _run)
