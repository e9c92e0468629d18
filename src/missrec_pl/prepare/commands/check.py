"""``check DOMAIN...``: checksums, structure and plausibility of domain folders."""

from argparse import ArgumentParser, Namespace

from rich.console import Console

from missrec_pl.data.domain.folder import Domain
from missrec_pl.errors import DataError
from missrec_pl.prepare.findings import findings


class Check:
    """Reads every file of domain folders."""

    name = "check"
    help = "verify domain folders: checksums, structure, values; coverage, norms, row order, splits"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")
        parser.add_argument("--strict", action="store_true", help="fail on warnings, too")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Checks all folders, then fails if one of them is damaged."""
        damaged = []
        for path in arguments.domains:
            with console.status(f"checking {path}"):
                try:
                    domain = Domain.open(path, verify=True)
                except DataError as error:
                    damaged.append(str(error))
                    continue
                found = list(findings(domain))
            print(f"{path}: ok, fingerprint {domain.fingerprint[:16]}")
            for finding in found:
                print(f"  {'warning: ' if finding.is_warning else ''}{finding.text}")
            warnings = sum(finding.is_warning for finding in found)
            if arguments.strict and warnings:
                damaged.append(f"{path}: {warnings} warnings (see above), which --strict does not let pass")
        if damaged:
            raise DataError("\n".join(damaged))
