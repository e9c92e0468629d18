"""One W&B run for one run, interrupted or not."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import loggers


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, which would start a second W&B run when a run is continued."""

    def continue_from(self, step: int) -> None:
        """Go on with the W&B run of this folder; see :class:`missrec_pl.loggers.Continuable`.

        W&B keeps what was logged after the last checkpoint, and the repeated steps beside it, with equal values.
        """
        earlier = sorted(Path(str(self.save_dir), "wandb").glob("*run-*-*"), key=lambda path: path.stat().st_mtime)
        if earlier:
            self._wandb_init |= {"id": earlier[-1].name.rpartition("-")[2], "resume": "allow"}
            self._id = self._wandb_init["id"]
