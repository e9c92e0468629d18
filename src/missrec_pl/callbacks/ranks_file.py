"""The rank of every test user's target, for what is computed after a run: groups of users, paired tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.redundancy import redundancy
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.distributed import gather_rows

RANKS_NAME = "test_ranks.parquet"


class RanksFile(L.Callback):
    """Writes ``test_ranks.parquet``: one line per test user, ordered by domain and user.

    Columns: ``domain`` (name), ``user`` (row of the domain's ``sequences.parquet``), ``item`` (the target's id in
    the domain, 1..N), ``item_count`` (its interactions in the training part of the data, 0 = cold),
    ``history_length`` (items shown to the network), ``redundancy`` (how alike these are, see
    :func:`missrec_pl.data.redundancy.redundancy`; null if they cannot be compared), ``rank`` (1 + better +
    ties / 2, float32).
    The metrics of ``results.json`` are means over these ranks.

    Args:
        folder: run folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._parts: list[Tensor] = []
        self._ranks: list[Tensor] = []

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget an earlier test."""
        self._parts, self._ranks = [], []

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
        self._parts.append(torch.stack([batch.user, batch.domain, batch.target, batch.length], dim=1))
        self._ranks.append(outputs)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the shards of all processes; rank 0 writes the file, complete or not at all."""
        device = pl_module.device
        columns = torch.cat(self._parts) if self._parts else torch.zeros(0, 4, dtype=torch.long, device=device)
        ranks = torch.cat(self._ranks).float() if self._ranks else torch.zeros(0, device=device)
        columns, ranks = gather_rows(columns).cpu(), gather_rows(ranks).cpu()
        self._parts, self._ranks = [], []
        if trainer.is_global_zero:
            self._write(_as_table(trainer.datamodule, columns, ranks))  # type: ignore[attr-defined]

    def _write(self, table: pa.Table) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f".{RANKS_NAME}.part"
        pq.write_table(table, temporary)
        temporary.replace(self.folder / RANKS_NAME)


def _as_table(datamodule: Any, columns: Tensor, ranks: Tensor) -> pa.Table:
    catalogue = datamodule.catalogue
    order = columns[:, 0].argsort()
    user, domain, item, length = columns[order].unbind(1)
    first_user = torch.from_numpy(datamodule.sequences.first_user)
    offsets = torch.as_tensor(catalogue.offsets)
    counts = np.bincount(datamodule.sequences.training_parts()[0], minlength=catalogue.num_items + 1)
    return pa.table(
        {
            "domain": pa.DictionaryArray.from_arrays(
                pa.array(domain.int().numpy()), [one.name for one in catalogue.domains]
            ),
            "user": (user - first_user[domain]).int().numpy(),
            "item": (item - offsets[domain]).int().numpy(),
            "item_count": counts[item].astype(np.int32),
            "history_length": length.int().numpy(),
            "redundancy": pa.array(_redundancy(datamodule, user), from_pandas=True),  # NaN is null
            "rank": ranks[order].numpy(),
        }
    )


def _redundancy(datamodule: Any, user: Tensor) -> NDArray[np.float32]:
    """Of the histories of the given test users (global numbers)."""
    rows = datamodule.sequences.test
    order = rows.user.argsort()
    place = order[np.searchsorted(rows.user[order], user.numpy())]
    tested = EvaluationRows(rows.user[place], rows.target[place])
    return redundancy(datamodule.catalogue, datamodule.sequences, tested, datamodule.max_history)
