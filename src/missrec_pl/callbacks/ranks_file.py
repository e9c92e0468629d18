"""The rank of every test user's target, for what is computed after a run: groups of users, paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.evaluated_users import evaluated_users, write_ranks
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.system.files import RANKS_NAME
from missrec_pl.system.processes import gather_rows


class RanksFile(L.Callback):
    """Writes ``test_ranks.parquet``: one line per test user, ordered by domain and user.

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
        self._users: list[Tensor] = []
        self._ranks: list[Tensor] = []

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier test."""
        self._users, self._ranks = [], []

    def on_test_batch_end(  # type: ignore[override]
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Tensor,
        batch: SequenceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's ranks and whose they are."""
        assert batch.user is not None, "evaluation batches name their users"
        self._users.append(batch.user)
        self._ranks.append(outputs)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the shards of all processes; rank 0 writes the file, complete or not at all."""
        device = pl_module.device
        users = torch.cat(self._users) if self._users else torch.zeros(0, dtype=torch.long, device=device)
        ranks = torch.cat(self._ranks).float() if self._ranks else torch.zeros(0, 2, device=device)
        users, ranks = gather_rows(users).cpu(), gather_rows(ranks).cpu()
        self._users, self._ranks = [], []
        if trainer.is_global_zero:
            order = users.argsort()  # global numbers: by domain first
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            rows = _rows_of(data.sequences.test, users[order].numpy())
            self.evaluated = rows
            described = evaluated_users(data.catalogue, data.sequences, rows, data.max_history)
            columns = dict(zip(("rank", "rank_history_excluded"), ranks[order].numpy().T, strict=True))
            write_ranks(self.folder / RANKS_NAME, described, columns)


def _rows_of(split: EvaluationRows, users: np.ndarray) -> EvaluationRows:
    """The rows of some of a split's users, in their order."""
    by_user = split.user.argsort()
    place = by_user[np.searchsorted(split.user[by_user], users)]
    return EvaluationRows(split.user[place], split.target[place])
