"""The tables of a Markdown page made anew by the report commands that stand above them.

A table belongs to a command where a line holds the command in backquotes and a colon, no more, and the next line
that is not empty starts the table::

    `python -m missrec_pl.report table simple tuned`:

    | Data | ... |

A report's notes replace the list below the table. A report without notes leaves that list, which is the author's.
Folders are read below ``--runs``. Tables whose runs are not there stay as they are, and are named.
"""

import argparse
import io
import re
import shlex
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr
from functools import partial
from pathlib import Path

from missrec_pl.errors import DataError, MissrecError
from missrec_pl.report.commands.base import Command, make_parser
from missrec_pl.report.output import Report
from missrec_pl.report.runs.collect import NoRunsError
from missrec_pl.system.files import whole_file

_EMPTY = r"(?:[^\S\n]*\n)*"  # lines
_BLOCK = re.compile(
    rf"^`python -m missrec_pl\.report (?P<command>[^`\n]+)`:\n{_EMPTY}"
    rf"(?P<table>(?:\| .*\n)+)(?P<notes>{_EMPTY}(?:- .*\n)+)?",
    re.MULTILINE,
)


def _run(commands: Mapping[str, Command], arguments: argparse.Namespace) -> None:
    """Write the page with its tables anew, and say which are made, which are the same and which have no runs.

    After an error the page is as it was.
    """
    page, runs = arguments.page, arguments.runs
    if not page.is_file() or not runs.is_dir():
        missing = page if not page.is_file() else runs
        raise DataError(f"{missing} does not exist: name a Markdown page, and with --runs the folder of its runs")
    text = page.read_text(encoding="utf-8").removesuffix("\n") + "\n"
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        raise DataError(
            f"{page} has no table below a line `python -m missrec_pl.report ...`: nothing to make anew"
        )
    counts = dict.fromkeys(("written", "the same", "no runs"), 0)
    for block in reversed(blocks):  # from the end: places before a block stay
        state, start, end = "no runs", block.start("table"), block.end("table")
        if report := _made(commands, block["command"], runs):
            made, end = f"{report.markdown()}\n", block.end() if report.notes else end
            state = "the same" if made == text[start:end] else "written"
            text = text[:start] + made + text[end:]
        counts[state] += 1
        if state != "the same":
            print(f"{state}: {block['command']}")
    if counts["written"]:
        with whole_file(page) as part:
            part.write_text(text, encoding="utf-8")
    print(f"{page}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))


def _made(commands: Mapping[str, Command], command: str, runs: Path) -> Report | None:
    """The report of a command; None where its runs are missing."""
    complaint = io.StringIO()
    with chdir(runs), redirect_stderr(complaint):
        try:
            arguments = make_parser(commands).parse_args([*shlex.split(command), "--format", "markdown"])
            return commands[arguments.command].run(arguments)
        except NoRunsError:
            return None
        except SystemExit:  # argparse's, which has printed why
            raise DataError(f"report {command}: {complaint.getvalue().strip().splitlines()[-1]}") from None
        except MissrecError as error:
            raise DataError(f"report {command}: {error}") from None


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", type=Path, metavar="PAGE.md", help="written over where a table differs")
    parser.add_argument(
        "--runs", type=Path, default=Path(), metavar="DIR", help="where the commands' folders are; default: here"
    )


def over(commands: Mapping[str, Command]) -> Command:
    """The command that makes tables anew by calling others."""
    return Command(__doc__, partial(_run, commands), _add_arguments)
