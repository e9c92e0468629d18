"""Entry point: ``python -m missrec_pl.prepare <command>``.

Exit code 0: done; 2: a mistake in what was asked or in the data, told in one line on stderr.
"""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from rich.console import Console

from missrec_pl.errors import MissrecError, printable
from missrec_pl.prepare.commands import ALL


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the arguments and runs one command.

    Args:
        argv: Arguments without the program's name; default: those of the process.

    Returns:
        The exit code.
    """
    parser = ArgumentParser(
        prog="python -m missrec_pl.prepare",
        description="Prepares domain folders: sequences, texts and frozen features of one domain each.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in ALL:
        sub = commands.add_parser(command.name, help=command.help, description=command.help)
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments, Console(stderr=True))
    except (MissrecError, PermissionError) as error:
        for line in str(error).splitlines():
            print(f"error: {printable(line)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
