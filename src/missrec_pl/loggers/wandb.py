"""One W&B run for one run, interrupted or not."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from missrec_pl.errors import ConfigError
from missrec_pl.loggers.cleaning import without_paths


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, which would start a second W&B run when a run is continued."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As Lightning's, but W&B sends no console, no command line, no code and no description of the machine.

        Raises:
            ConfigError: ``log_model`` is on: checkpoints name folders of this machine.
        """
        if options.get("log_model"):
            raise ConfigError("logger.wandb.log_model: checkpoints name this machine's folders; leave it false.")
        quiet = {"console": "off", "x_disable_meta": True, "disable_git": True, "disable_code": True}
        given = options.pop("settings", None)
        super().__init__(*arguments, settings=quiet if given is None else given, **options)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Logs options without absolute paths."""
        super().log_hyperparams(without_paths(vars(params) if isinstance(params, Namespace) else params))

    def continue_from(self, step: int) -> None:
        """Go on with the W&B run of this folder; see :class:`missrec_pl.loggers.Continuable`.

        W&B keeps what was logged after the last checkpoint, and the repeated steps beside it, with equal values.
        """
        earlier = sorted(Path(str(self.save_dir), "wandb").glob("*run-*-*"), key=lambda path: path.stat().st_mtime)
        if earlier:
            self._wandb_init |= {"id": earlier[-1].name.rpartition("-")[2], "resume": "allow"}
            self._id = self._wandb_init["id"]
