"""The tables of a Markdown page made anew by the report commands that stand above them.

A table belongs to a command where a line holds the command in backquotes and a colon, no more, and the next line
that is not empty starts the table::

    `python -m missrec_pl.report table simple tuned`:

    | Data | ... |

Where a report has notes, they take the place of the list below the table; where it has none, that list is the
author's and stays. Folders are read below ``--runs``. Tables whose runs are not there stay as they are, and are
named.
"""

import argparse
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from missrec_pl.errors import DataError, MissrecError
from missrec_pl.report.runs.collect import NoRunsError
from missrec_pl.system.files import whole_file

_COMMAND = re.compile(r"`python -m missrec_pl\.report ([^`]+)`:")


@dataclass(frozen=True)
class Block:
    """A command of the page and where its table stands: lines ``first`` (included) to ``end`` (excluded).

    ``after`` ends the list below the table; it is ``end`` where there is none.
    """

    command: str
    first: int
    end: int
    after: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``report refresh``."""
    parser.add_argument("page", type=Path, metavar="PAGE.md", help="written over where a table differs")
    parser.add_argument(
        "--runs", type=Path, default=Path(), metavar="DIR", help="where the commands' folders are; default: here"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the page with its tables anew, and say which are made, which are the same and which have no runs.

    Raises:
        DataError: the page or the folder is not there, the page has no such table, or a command fails for another
            reason than missing runs. The page is then as it was.
    """
    page, runs = arguments.page, arguments.runs
    if not page.is_file() or not runs.is_dir():
        missing = page if not page.is_file() else runs
        raise DataError(f"{missing} does not exist: name a Markdown page, and with --runs the folder of its runs")
    lines = page.read_text(encoding="utf-8").splitlines()
    found = list(blocks(lines))
    if not found:
        raise DataError(
            f"{page} has no table below a line `python -m missrec_pl.report ...`: nothing to make anew"
        )
    counts = dict.fromkeys(("written", "the same", "no runs"), 0)
    for block in reversed(found):  # from the end: places before a block stay
        made = _printed(block.command, runs)
        end = block.after if made is not None and "" in made else block.end
        state = "no runs" if made is None else "the same" if made == lines[block.first : end] else "written"
        counts[state] += 1
        if made is not None:
            lines[block.first : end] = made
        if state != "the same":
            print(f"{state}: {block.command}")
    if counts["written"]:
        with whole_file(page) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{page}: " + ", ".join(f"{count} {state}" for state, count in counts.items()))


def blocks(lines: list[str]) -> Iterator[Block]:
    """The commands of a page with the tables below them, in the page's order."""
    for number, line in enumerate(lines):
        match = _COMMAND.fullmatch(line)
        if match is None:
            continue
        first = _skip_empty(lines, number + 1)
        end = _skip(lines, first, "| ")
        if end == first:
            continue
        notes = _skip_empty(lines, end)
        after = _skip(lines, notes, "- ")
        yield Block(match[1], first, end, after if after > notes else end)


def _skip_empty(lines: list[str], at: int) -> int:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at


def _skip(lines: list[str], at: int, mark: str) -> int:
    while at < len(lines) and lines[at].startswith(mark):
        at += 1
    return at


def _printed(command: str, runs: Path) -> list[str] | None:
    """What the command prints as Markdown, or None where its runs are missing."""
    from missrec_pl.report.__main__ import COMMANDS, make_parser  # it registers this command, too

    out, err = io.StringIO(), io.StringIO()
    with chdir(runs), redirect_stdout(out), redirect_stderr(err):
        try:
            arguments = make_parser().parse_args([*shlex.split(command), "--format", "markdown"])
            COMMANDS[arguments.command].run(arguments)
        except NoRunsError:
            return None
        except SystemExit:  # argparse's, which has printed why
            raise DataError(f"report {command}: {err.getvalue().strip().splitlines()[-1]}") from None
        except MissrecError as error:
            raise DataError(f"report {command}: {error}") from None
    return out.getvalue().splitlines()
