"""``info DOMAIN...``: what is in domain folders."""

from argparse import ArgumentParser, Namespace

from rich.console import Console
from rich.table import Table

from missrec_pl.data.domain.folder import Domain


class Info:
    """Prints counts and coverage."""

    name = "info"
    help = "table of users, items, interactions, lengths and modalities"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Prints one row for each domain and modality."""
        table = Table(
            "domain", "users", "items", "interactions", "avg length", "modality", "dim", "coverage", "encoder"
        )
        for path in arguments.domains:
            domain = Domain.open(path)
            total = len(domain.sequences.items)
            counts = [
                f"{domain.num_users:,}",
                f"{domain.num_items:,}",
                f"{total:,}",
                f"{total / domain.num_users:.1f}",
            ]
            first = [domain.name, *counts]
            for kind, infos in (("", domain.modalities), (" (view)", domain.views)):
                for info in infos.values():
                    table.add_row(*first, info.name + kind, str(info.dim), f"{info.coverage:.1%}", info.encoder)
                    first = [""] * len(first)
            if first[0]:
                table.add_row(*first, "none yet", "", "", "")
        Console(width=None if console.is_terminal else 140).print(table)
