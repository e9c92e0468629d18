"""``merge DOMAIN... OUT``: several domains to one pre-training mix."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console

from missrec_pl.data.domain.encoders import check_encoders
from missrec_pl.data.domain.manifest import Manifest
from missrec_pl.prepare.commands.base import add_output
from missrec_pl.prepare.exchange.merging import merge_domains
from missrec_pl.prepare.exchange.released_files import write_merged


class Merge:
    """Joins domains."""

    name = "merge"
    help = "several domain folders -> one domain folder, or the authors' merged pre-training layout"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")
        add_output(parser, "the folder to make; its name is the mix's name")
        parser.add_argument(
            "--layout", choices=("domain", "released"), default="domain", help="one domain folder, or the authors'"
        )
        parser.add_argument("--allow-mixed-encoders", action="store_true", help="join what has no common space")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Joins, with a line of status."""
        paths, out = [Path(path) for path in arguments.domains], Path(arguments.out)
        with console.status(f"merging into {out}"):
            if arguments.layout == "released":
                if not arguments.allow_mixed_encoders:
                    check_encoders([Manifest.read(path) for path in paths], "--allow-mixed-encoders")
                write_merged(paths, out, name=out.name, overwrite=arguments.overwrite)
            else:
                mixed = arguments.allow_mixed_encoders
                merge_domains(paths, out, allow_mixed_encoders=mixed, overwrite=arguments.overwrite)
        print(out)
