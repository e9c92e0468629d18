"""Entry point: ``python -m missrec_pl.prepare <command>``.

Exit code 0: done; 2: a mistake in what was asked or in the data, told in one line on stderr;
3: the disk is full or read-only, or too many files are open.
"""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from rich.console import Console

from missrec_pl.prepare.commands import ALL
from missrec_pl.system.ending import exit_code_of
from missrec_pl.system.terminal import print_anything


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code; ``argv`` defaults to the arguments of the process."""
    parser = ArgumentParser(
        prog="python -m missrec_pl.prepare",
        description="Prepares domain folders: sequences, texts and frozen features of one domain each.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in ALL:
        sub = commands.add_parser(command.name, help=command.run.__doc__, description=command.run.__doc__)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: arguments.run(arguments, Console(stderr=True)))


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
