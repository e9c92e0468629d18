"""What the lists of a test are like, logged beside their accuracy."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.evaluated_users import mean_cosine
from missrec_pl.metrics import BeyondAccuracy, Ranking

BEYOND_ACCURACY = "test_beyond_accuracy/"
"""Begins the names of what is logged."""


class ListsOfTest(L.Callback):
    """Logs the values of :class:`BeyondAccuracy` for the test's top-K lists under the run's protocol."""

    def __init__(self) -> None:
        self._metric: BeyondAccuracy | None = None

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the training part."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        items, offsets = data.sequences.training_parts()
        size = data.catalogue.num_items + 1
        owner = np.repeat(np.arange(len(offsets) - 1, dtype=np.int64), np.diff(offsets))
        users = np.bincount(np.unique(owner * size + items) % size, minlength=size)
        counts = np.bincount(items, minlength=size)
        num_users = int((np.diff(offsets) > 0).sum())
        ks = pl_module.ks
        assert isinstance(ks, tuple)
        metric = BeyondAccuracy(ks, torch.from_numpy(counts), torch.from_numpy(users), num_users)
        self._metric = metric.to(pl_module.device)

    def on_test_batch_end(  # type: ignore[override]
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Ranking,
        batch: SequenceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the batch's lists."""
        assert self._metric is not None
        catalogue = trainer.datamodule.catalogue  # type: ignore[attr-defined]
        lists = outputs["lists"]
        alike = torch.stack([mean_cosine(catalogue, lists[:, :k].cpu()) for k in self._metric.ks])
        self._metric.update(lists, batch.history, batch.target, alike.to(lists.device))

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log, and forget."""
        assert self._metric is not None
        values = {BEYOND_ACCURACY + name: value for name, value in self._metric.compute().items()}
        pl_module.log_dict(values, sync_dist=False)
        self._metric = None
