"""``python -m missrec_pl.report COMMAND ...``."""

import missrec_pl.system.passive_waiting  # noqa: F401, I001 - before anything imports torch

import sys
from collections.abc import Sequence

from missrec_pl.errors import MissrecError
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
from missrec_pl.system.trouble import trouble_of
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
    """Run one command; return 0, or after a one-line message 2 (a mistake in the input) or 3 (no room)."""
    arguments = make_parser(COMMANDS).parse_args(argv)
    try:
        report = COMMANDS[arguments.command].run(arguments)
    except MissrecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        if (trouble := trouble_of(error)) is None:
            raise
        print(f"error: {trouble} Then repeat the command.", file=sys.stderr)
        return 3
    if report is not None:
        if arguments.format == "markdown":
            print(report.markdown())
        else:
            report.print()
    return 0


if __name__ == "__main__":
    print_anything()
    sys.exit(main())
