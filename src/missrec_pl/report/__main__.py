"""``python -m missrec_pl.report COMMAND ...``."""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import argparse
import sys
from collections.abc import Sequence

from missrec_pl.report.commands import (
    chart,
    groups,
    interest_study,
    interests,
    page,
    paired,
    published,
    refresh,
    runs,
    table,
)
from missrec_pl.report.commands.base import Command, make_parser
from missrec_pl.system.ending import exit_code_of
from missrec_pl.system.terminal import print_anything

COMMANDS: dict[str, Command] = {
    "table": table.COMMAND,
    "chart": chart.COMMAND,
    **published.COMMANDS,
    "figure4": groups.FIGURE4,
    "groups": groups.GROUPS,
    "paired": paired.COMMAND,
    "interest_study": interest_study.COMMAND,
    "interests": interests.COMMAND,
    "runs": runs.COMMAND,
    "page": page.COMMAND,
}
COMMANDS["refresh"] = refresh.over(COMMANDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is that of :func:`exit_code_of`."""
    arguments = make_parser(COMMANDS).parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> None:
    report = COMMANDS[arguments.command].run(arguments)
    if report is not None:
        if arguments.format == "markdown":
            print(report.markdown())
        else:
            report.print()


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
