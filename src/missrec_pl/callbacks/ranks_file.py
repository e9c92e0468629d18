"""The rank of every test user's target, for what is computed after a run: groups of users, paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.evaluated_users import evaluated_users, write_ranks
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.metrics import Ranking
from missrec_pl.system.files import RANKS_NAME
from missrec_pl.system.processes import gather_rows


class RanksFile(L.Callback):
    """Writes ``test_ranks.parquet``: one line per test target, ordered by domain and user.

    Columns: those of :func:`missrec_pl.data.evaluated_users.evaluated_users`, ``rank`` (1 + better + ties / 2,
    float32), and ``rank_history_excluded`` (the same where the history's items are no candidates).
    The metrics of ``results.json`` are means over these ranks.

    Attributes:
        evaluated: in the first process, the rows of the users of the latest test; fewer where it was limited.

    Args:
        folder: run folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.evaluated: EvaluationRows | None = None
        self._rows: list[Tensor] = []
        self._ranks: list[Tensor] = []

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier test."""
        self._rows, self._ranks = [], []

    def on_test_batch_end(  # type: ignore[override]
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Ranking,
        batch: SequenceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's ranks and whose they are."""
        assert batch.row is not None, "evaluation batches name their rows"
        self._rows.append(batch.row)
        self._ranks.append(outputs["ranks"])

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the shards of all processes; rank 0 writes the file, complete or not at all."""
        device = pl_module.device
        rows = torch.cat(self._rows) if self._rows else torch.zeros(0, dtype=torch.long, device=device)
        ranks = torch.cat(self._ranks).float() if self._ranks else torch.zeros(0, 2, device=device)
        rows, ranks = gather_rows(rows).cpu(), gather_rows(ranks).cpu()
        self._rows, self._ranks = [], []
        if trainer.is_global_zero:
            order = rows.argsort()  # global rows: by domain first
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            self.evaluated = data.sequences.test.take(rows[order].numpy())
            described = evaluated_users(data.catalogue, data.sequences, self.evaluated, data.max_history)
            columns = dict(zip(("rank", "rank_history_excluded"), ranks[order].numpy().T, strict=True))
            write_ranks(self.folder / RANKS_NAME, described, columns)
