"""``check DOMAIN...``: checksums and structure of domain folders."""

from argparse import ArgumentParser, Namespace

from rich.console import Console

from missrec_pl.data.domain import Domain
from missrec_pl.errors import DataError


class Check:
    """Reads every file of domain folders."""

    name = "check"
    help = "verify the checksums and the structure of domain folders"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")

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
            print(f"{path}: ok, fingerprint {domain.fingerprint()[:16]}")
        if damaged:
            raise DataError("\n".join(damaged))
