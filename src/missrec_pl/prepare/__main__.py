"""Entry point: ``python -m missrec_pl.prepare <command>``.

Exit code 0: done; 2: a mistake in what was asked or in the data, told in one line on stderr;
3: the disk is full or read-only, or too many files are open.
"""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from rich.console import Console

from missrec_pl.errors import MissrecError, printable
from missrec_pl.prepare.commands import ALL
from missrec_pl.system.trouble import mistaken_for_damage, trouble_of
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
    try:
        arguments.run(arguments, Console(stderr=True))
    except (MissrecError, PermissionError) as error:
        if (trouble := mistaken_for_damage(error)) is not None:
            return _refused_by_the_machine(trouble)
        for line in str(error).splitlines():
            print(f"error: {printable(line)}", file=sys.stderr)
        return 2
    except Exception as error:
        if (trouble := trouble_of(error)) is None:
            raise
        return _refused_by_the_machine(trouble)
    return 0


def _refused_by_the_machine(trouble: str) -> int:
    print(f"error: {printable(trouble)} Then repeat the command.", file=sys.stderr)
    return 3


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
