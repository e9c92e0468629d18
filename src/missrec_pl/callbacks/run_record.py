"""What a checkpoint says about the run that made it."""

from __future__ import annotations

from typing import Any

import lightning as L

RECORD = "missrec_pl"  # key of the record in a checkpoint


class RunRecord(L.Callback):
    """Stores the run's resolved config and the identity of its data in every checkpoint, as plain containers.

    Args:
        config: the resolved config.
        data: identity of the data: name and fingerprint of each domain.
    """

    def __init__(self, config: dict[str, Any], data: dict[str, str]) -> None:
        self.record = {"config": config, "data": data}

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record."""
        checkpoint[RECORD] = self.record
