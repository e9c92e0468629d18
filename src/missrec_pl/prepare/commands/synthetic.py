"""``synthetic OUT``: generated domains."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from missrec_pl.data.synthetic.generator import SyntheticSpec, write_synthetic
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.commands.base import add_output


class Synthetic:
    """Writes generated domains."""

    name = "synthetic"
    help = "small generated domains with text and image features"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the command's arguments."""
        add_output(parser, "folder for the domain folders")
        default = SyntheticSpec()
        parser.add_argument("--domains", type=int, default=3, help="how many (default 3)")
        parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same content (default 0)")
        parser.add_argument("--users", type=int, default=default.num_users, help="of each domain (default 200)")
        parser.add_argument("--items", type=int, default=default.num_items, help="of each domain (default 120)")

    def run(self, arguments: Namespace, console: Console) -> None:
        """Generates, with a progress bar."""
        if arguments.domains < 1:
            raise ConfigError(f"--domains has to be 1 or more, found {arguments.domains}")
        spec = SyntheticSpec(seed=arguments.seed, num_users=arguments.users, num_items=arguments.items)
        out = Path(arguments.out)
        numbers = track(range(arguments.domains), description="generating", console=console, transient=True)
        paths = [write_synthetic(out, number, spec, overwrite=arguments.overwrite) for number in numbers]
        for path in paths:
            print(path)
