"""The preparation commands, one module each; ``ALL`` is their order in ``--help``."""

from missrec_pl.prepare.commands import (
    check,
    export,
    features,
    groceries,
    images,
    import_checkpoint,
    info,
    interactions,
    merge,
    released,
    stats,
    synthetic,
)
from missrec_pl.prepare.commands.base import Command

ALL: tuple[Command, ...] = (
    interactions.Interactions(),
    images.Images(),
    features.Features(),
    groceries.Groceries(),
    released.Released(),
    import_checkpoint.ImportCheckpoint(),
    synthetic.Synthetic(),
    merge.Merge(),
    export.Export(),
    check.Check(),
    stats.Stats(),
    info.Info(),
)
