"""The figures of the pages and `docs/results.json`, which holds every table with the command that made it.

    python benchmarks/figures.py                            # check: does each page say what results.json says?
    python benchmarks/figures.py record RUNS                # make again what the runs below RUNS can make
    python benchmarks/figures.py record RUNS --only table3  # of those the commands that hold this text

A table belongs to the command in the line above it. A score in the summaries of README, `results.md` and
`what_mattered.md` has to stand in a table with a command, or in one of `trials.md`, whose runs are not kept.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STORE = ROOT / "docs" / "results.json"
PAGES = ("docs/results.md", "docs/results_by_group.md")
TRIALS = "docs/trials.md"
SUMMARIES = (
    ("README.md", "| DRUG GM", "make run"),
    ("docs/results.md", "| Data | Users | R@10", ""),
    ("docs/what_mattered.md", "| Step | N@10", ""),
)
"""Pages, how their table begins, and what the commands hold that its scores may be of."""
_COMMAND = re.compile(r"^`(python -m missrec_pl\.report [^`]+|make run)`[^`]*:$")
_SCORE = re.compile(r"(?<![\d.])0?\.\d{4}(?!\d)")


@dataclass
class Table:
    """A table of a page: where its lines stand, and the command above it."""

    page: str
    command: str
    first: int
    lines: list[str]


def tables(page: str, text: str) -> Iterator[Table]:
    """The tables of a page that have a command."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if (found := _COMMAND.match(line)) is None:
            continue
        first = number + 2
        rows = list(rows_from(lines, first))
        if rows:
            yield Table(page, found[1], first, rows)


def rows_from(lines: list[str], first: int) -> Iterator[str]:
    """The lines of the table that begins there."""
    for line in lines[first:]:
        if not line.startswith("|"):
            return
        yield line


def mistakes(root: Path = ROOT) -> list[str]:
    """One line for each figure of a page that is not the stored one."""
    stored = {
        entry["command"]: entry for entry in json.loads((root / STORE.relative_to(ROOT)).read_text())["tables"]
    }
    found, seen = [], set()
    for page in PAGES:
        for table in tables(page, (root / page).read_text(encoding="utf-8")):
            seen.add(table.command)
            if table.command not in stored:
                found.append(f"{page}:{table.first + 1}: no stored table of `{table.command}`")
                continue
            rows = stored[table.command]["rows"]
            found += [
                f"{page}:{table.first + 1 + number}: says {here or 'nothing'}, stored is {there or 'nothing'}"
                for number, (here, there) in enumerate(padded(table.lines, rows))
                if here != there
            ]
    found += [f"docs/results.json: no page shows `{command}`" for command in stored if command not in seen]
    trials = [row for row in (root / TRIALS).read_text(encoding="utf-8").splitlines() if row.startswith("|")]
    for page, head, part in SUMMARIES:
        rows = [row for command, entry in stored.items() if part in command for row in entry["rows"]]
        known = {plain(score) for row in rows + trials * (not part) for score in _SCORE.findall(row)}
        lines = (root / page).read_text(encoding="utf-8").splitlines()
        first = next((number for number, line in enumerate(lines) if line.startswith(head)), None)
        if first is None:
            found.append(f"{page}: there is no table that begins with {head}")
            continue
        for number, row in enumerate(rows_from(lines, first), first + 1):
            missing = [score for score in _SCORE.findall(row) if plain(score) not in known]
            found += [f"{page}:{number}: {score} stands in no table with a command" for score in missing]
    return found


def padded(here: list[str], there: list[str]) -> Iterator[tuple[str, str]]:
    """Lines side by side, an empty one where one of the two has ended."""
    for number in range(max(len(here), len(there))):
        yield here[number] if number < len(here) else "", there[number] if number < len(there) else ""


def plain(score: str) -> str:
    """A score without its leading zero."""
    return score.removeprefix("0")


def record(runs: Path, only: str) -> int:
    """Make tables again from the runs' folders, on the pages and in the store.

    Returns:
        How many were made.
    """
    stored: dict[str, Any] = json.loads(STORE.read_text()) if STORE.is_file() else {"tables": []}
    entries = {entry["command"]: entry for entry in stored["tables"]}
    made, order = 0, []
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8").splitlines()
        for table in reversed(list(tables(page, "\n".join(text)))):
            entry = entries.get(table.command) or {"command": table.command, "made": None, "rows": table.lines}
            if only in table.command and (rows := output_of(table.command, runs)):
                entry = {"command": table.command, "made": {"on": str(datetime.date.today()), "commit": commit}}
                entry["rows"] = rows
                text[table.first : table.first + len(table.lines)] = rows
                made += 1
                print(f"made: {table.command}")
            order.append(entry)
        (ROOT / page).write_text("\n".join(text) + "\n", encoding="utf-8")
    STORE.write_text(json.dumps({"tables": order}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return made


def output_of(command: str, runs: Path) -> list[str]:
    """The table that a command prints in the runs' folder; nothing where its runs are not there."""
    words = [sys.executable, *shlex.split(command)[1:], "--format", "markdown"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(words, cwd=runs, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode or "no runs" in ended.stdout:
        print(f"left: {command}")
        return []
    return [line for line in ended.stdout.splitlines() if line.startswith("|")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what")
    making = commands.add_parser("record", help="make tables again from runs")
    making.add_argument("runs", type=Path)
    making.add_argument("--only", default="", help="of commands that hold this text")
    options = parser.parse_args()
    if options.what == "record":
        print(f"{record(options.runs, options.only)} tables made")
    found = mistakes()
    print("\n".join(found) or "every figure is the stored one")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
