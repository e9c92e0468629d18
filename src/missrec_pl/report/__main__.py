"""``python -m missrec_pl.report COMMAND ...``: one module per command, registered in `COMMANDS`."""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import argparse
import sys
from collections.abc import Sequence
from typing import Protocol

from missrec_pl.errors import MissrecError
from missrec_pl.report.commands import (
    chart,
    figure4,
    groups,
    interest_study,
    interests,
    paired,
    published,
    refresh,
    runs,
    table,
)


class Command(Protocol):
    """What a command's module offers; its docstring is the help text."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def run(self, arguments: argparse.Namespace) -> None:
        """Print the report, or raise a `MissrecError`."""


COMMANDS: dict[str, Command] = {
    "table": table,
    "chart": chart,
    **published.COMMANDS,
    "figure4": figure4,
    "groups": groups,
    "paired": paired,
    "interest_study": interest_study,
    "interests": interests,
    "runs": runs,
    "refresh": refresh,
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands; ``arguments.command`` names the one in `COMMANDS`."""
    parser = argparse.ArgumentParser(prog="python -m missrec_pl.report", description="Reports on finished runs.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary = (command.__doc__ or "").partition("\n")[0]
        command.add_arguments(subparsers.add_parser(name, help=summary, description=summary))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 after a one-line message for a mistake in the input."""
    arguments = make_parser().parse_args(argv)
    try:
        COMMANDS[arguments.command].run(arguments)
    except MissrecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
