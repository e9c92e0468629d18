"""What every user is recommended, by all processes of a run together, in one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.serving.answers import SCHEMA, RankedRows
from missrec_pl.serving.items import keys_of
from missrec_pl.system.files import RECOMMENDATIONS_NAME, whole_file
from missrec_pl.system.processes import gather_rows

_BLOCK = 65_536  # users gathered and written at a time


class RecommendationsFile(L.Callback):
    """Writes ``recommendations.parquet`` of ``trainer.predict``: the columns of serving, ordered by user and rank.

    A process keeps the numbers of its own users; the first process writes them block by block, in the order of the
    data, whatever the number of processes. The file appears whole or not at all.

    Args:
        folder: run folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._parts: list[dict[str, Tensor]] = []

    def on_predict_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget earlier ones."""
        self._parts = []

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Mapping[str, Tensor],
        batch: SequenceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the batch's recommendations, in 4 bytes a number."""
        small = {"row": torch.int64, "items": torch.int32, "scores": torch.float32}
        self._parts.append({name: outputs[name].to("cpu", kind) for name, kind in small.items()})

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gather the shards of all processes; the first one writes."""
        parts, self._parts = self._parts, []
        mine = {name: torch.cat([part[name] for part in parts]) for name in ("row", "items", "scores")}
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        blocks = _gathered(mine, len(data.sequences.everybody()), pl_module.device)
        if not trainer.is_global_zero:
            for _ in blocks:
                pass
            return
        domains = data.catalogue.domains
        items = _names({domain.name: domain.raw_item_ids()[1:] for domain in domains})
        users = _names({domain.name: domain.raw_user_ids() for domain in domains})
        who = data.sequences.everybody().user
        with (
            whole_file(self.folder / RECOMMENDATIONS_NAME, to_disk=True) as file,
            pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer,
        ):
            for block in blocks:
                row, chosen, scores = (block[name].numpy() for name in ("row", "items", "scores"))
                writer.write_table(RankedRows(chosen, scores).table(users.take(pa.array(who[row])), items))


def _names(ids: Mapping[str, list[str]]) -> pa.Array:
    owner = [domain for domain, some in ids.items() for _ in some]
    return pa.array(keys_of([one for some in ids.values() for one in some], owner), pa.string())


def _gathered(mine: Mapping[str, Tensor], total: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
    """Blocks of rows ``0..total`` of all processes, in order; every process has to ask for all of them."""
    order = mine["row"].argsort()
    ends = torch.searchsorted(mine["row"][order], torch.arange(0, total + _BLOCK, _BLOCK))
    for start, end in pairwise(ends.tolist()):
        own = order[start:end]
        block = {name: gather_rows(tensor[own].to(device)).cpu() for name, tensor in mine.items()}
        together = block["row"].argsort()
        yield {name: tensor[together] for name, tensor in block.items()}
