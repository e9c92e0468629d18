"""What a preparation command is, and the arguments that several of them take."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple, TypeVar

from rich.console import Console

Settings = TypeVar("Settings")


class Command(NamedTuple):
    """One sub-command of ``python -m missrec_pl.prepare``; the docstring of ``run`` is its line in ``--help``."""

    name: str  # the word that calls it
    add_arguments: Callable[[ArgumentParser], None]  # declares its arguments
    run: Callable[[Namespace, Console], None]


def add_output(parser: ArgumentParser, what: str) -> None:
    """Declares the arguments of a command that writes: ``OUT`` and ``--overwrite``."""
    parser.add_argument("out", metavar="OUT", help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def add_domains(parser: ArgumentParser) -> None:
    """Declares the domain folders that a command reads."""
    parser.add_argument("domains", metavar="DOMAIN", nargs="+", help="domain folder")


def settings_from(arguments: Namespace, kind: type[Settings], **given: Any) -> Settings:
    """A dataclass of settings from the arguments of the same names, and from what is ``given``."""
    named = {field.name for field in fields(kind)} & vars(arguments).keys()  # type: ignore[arg-type]
    return kind(**{**{name: getattr(arguments, name) for name in named}, **given})
