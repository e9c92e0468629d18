"""The preparation commands; ``ALL`` is their order in ``--help``."""

from missrec_pl.prepare.commands import (
    append,
    doctor,
    exchange,
    features,
    folders,
    images,
    interactions,
    recipes,
    sources,
)
from missrec_pl.prepare.commands.base import Command

ALL: tuple[Command, ...] = (
    interactions.COMMAND,
    recipes.COMMAND,
    append.COMMAND,
    doctor.COMMAND,
    images.COMMAND,
    features.COMMAND,
    *sources.COMMANDS,
    *exchange.COMMANDS,
    *folders.COMMANDS,
)
