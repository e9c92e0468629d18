"""The preparation commands, one module each; ``ALL`` is their order in ``--help``."""

from missrec_pl.prepare.commands import (
    check,
    features,
    groceries,
    import_checkpoint,
    info,
    interactions,
    released,
    synthetic,
)
from missrec_pl.prepare.commands.base import Command

ALL: tuple[Command, ...] = (
    interactions.Interactions(),
    features.Features(),
    groceries.Groceries(),
    released.Released(),
    import_checkpoint.ImportCheckpoint(),
    synthetic.Synthetic(),
    check.Check(),
    info.Info(),
)
