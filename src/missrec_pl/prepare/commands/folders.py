"""``check``, ``stats`` and ``info``: what is in domain folders."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import DataError
from missrec_pl.prepare.character import character
from missrec_pl.prepare.commands.base import Command, add_domains
from missrec_pl.prepare.exchange.statistics import FORMATS, HEADER, statistics_of, total
from missrec_pl.prepare.findings import Finding, findings
from missrec_pl.prepare.tables.joins import joins_of


def _add_check(parser: ArgumentParser) -> None:
    add_domains(parser)
    parser.add_argument("--strict", action="store_true", help="fail on warnings, too")


def _check(arguments: Namespace, console: Console) -> None:
    """Verify domain folders: checksums, structure, values; coverage, norms, row order, splits."""
    damaged = []
    for path in arguments.domains:
        with console.status(f"checking {path}"):
            try:
                domain = Domain.open(path, verify=True)
            except DataError as error:
                damaged.append(str(error))
                continue
            found = list(findings(domain))
        _print(f"{path}: ok, fingerprint {domain.fingerprint[:16]}", found)
        warnings = sum(finding.is_warning for finding in found)
        if arguments.strict and warnings:
            damaged.append(f"{path}: {warnings} warnings (see above), which --strict does not let pass")
    if damaged:
        raise DataError("\n".join(damaged))


def _print(head: str, found: Sequence[Finding]) -> None:
    print(head)
    for finding in found:
        print(f"  {'warning: ' if finding.is_warning else ''}{finding.text}")


def _add_stats(parser: ArgumentParser) -> None:
    add_domains(parser)
    parser.add_argument("--format", choices=FORMATS, default="text", help="default text")
    parser.add_argument("--total", metavar="NAME", help="a first row with the sums, under this name")


def _stats(arguments: Namespace, console: Console) -> None:
    """The paper's table 1 for any domain folders, as text, Markdown or LaTeX."""
    parts = [statistics_of(Path(path)) for path in arguments.domains]
    whole = [total(arguments.total, parts)] if arguments.total else []
    print(FORMATS[arguments.format]([HEADER, *(part.cells() for part in (*whole, *parts))]))


def _info(arguments: Namespace, console: Console) -> None:
    """Table of users, items, interactions, lengths, modalities; what kind of data, and how its files matched."""
    facts: dict[str, list[Finding]] = {}
    columns = ("domain", "users", "items", "interactions", "avg length", "modality", "dim", "coverage", "encoder")
    table = Table(*columns)
    for path in arguments.domains:
        domain = Domain.open(path)
        total = len(domain.sequences.items)
        counts = [f"{number:,}" for number in (domain.num_users, domain.num_items, total)]
        first = [domain.name, *counts, f"{total / domain.num_users:.1f}"]
        for kind, infos in (("", domain.modalities), (" (view)", domain.views)):
            for info in infos.values():
                table.add_row(*first, info.name + kind, str(info.dim), f"{info.coverage:.1%}", info.encoder)
                first = [""] * len(first)
        if first[0]:
            table.add_row(*first, "none yet", "", "", "")
        with console.status(f"reading {path}"):
            facts[str(path)] = list(character(domain))
    Console(width=None if console.is_terminal else 140).print(table)
    for path, found in facts.items():
        _print(path, found)
        domain = Domain.open(path)
        for made in (domain.manifest.created_by, *(one.made_by for one in domain.modalities.values())):
            print(*(f"  {line}\n" for line in joins_of(made)), sep="", end="")


COMMANDS = (
    Command("check", _add_check, _check),
    Command("stats", _add_stats, _stats),
    Command("info", add_domains, _info),
)
