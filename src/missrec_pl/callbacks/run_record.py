"""What a checkpoint says about the run that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L

from missrec_pl.checkpoints.record import RECORD


class RunRecord(L.Callback):
    """Stores the run's config and the identity of its data in every checkpoint, as plain containers.

    Args:
        config: the config, interpolations unresolved.
        data: identity of the data: name and fingerprint of each domain.
        encoders: per modality the encoders of its features.
        network: class path and resolved arguments of the network.
    """

    def __init__(
        self,
        config: dict[str, Any],
        data: dict[str, str],
        encoders: Mapping[str, list[str]] | None = None,
        network: Mapping[str, Any] | None = None,
    ) -> None:
        self.record: dict[str, Any] = {"config": config, "data": data, "encoders": dict(encoders or {})}
        if network is not None:
            self.record["network"] = dict(network)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the record."""
        checkpoint[RECORD] = self.record
