"""Who was evaluated, and how alike the items of a history are: for what is computed of users after a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import EvaluationRows
from missrec_pl.system.files import whole_file

_BLOCK = 8192  # histories at a time


def write_ranks(file: Path, users: pa.Table, ranks: Mapping[str, NDArray[np.float32]]) -> None:
    """Write columns of ranks (1 + better + ties / 2) beside the description of the users, whole or not at all."""
    table = users
    for name, values in ranks.items():
        table = table.append_column(name, pa.array(values, pa.float32()))
    with whole_file(file) as part:
        pq.write_table(table, part)


def evaluated_users(
    catalogue: Catalogue, sequences: GlobalSequences, rows: EvaluationRows, max_history: int
) -> pa.Table:
    """One line per evaluated user, in the order of ``rows``.

    Columns: ``domain`` (name), ``user`` (row of the domain's ``sequences.parquet``), ``item`` (the target's id in
    the domain, 1..N), ``item_count`` (its interactions in the training part of the data, 0 = cold),
    ``history_length`` (items before the target, ``max_history`` at most), ``redundancy`` (how alike these are, see
    :func:`redundancy`; null if they cannot be compared).
    """
    domain = sequences.domain[rows.user]
    target = sequences.items[sequences.starts[rows.user] + rows.target]
    counts = np.bincount(sequences.training_parts()[0], minlength=catalogue.num_items + 1)
    alike = redundancy(catalogue, sequences, rows, max_history)
    return pa.table(
        {
            "domain": pa.DictionaryArray.from_arrays(
                pa.array(domain.astype(np.int32)), [one.name for one in catalogue.domains]
            ),
            "user": (rows.user - sequences.first_user[domain]).astype(np.int32),
            "item": (target - np.asarray(catalogue.offsets)[domain]).astype(np.int32),
            "item_count": counts[target].astype(np.int32),
            "history_length": np.minimum(rows.target, max_history).astype(np.int32),
            "redundancy": pa.array(alike, from_pandas=True),  # NaN is null
        }
    )


def redundancy(
    catalogue: Catalogue, sequences: GlobalSequences, rows: EvaluationRows, max_history: int
) -> NDArray[np.float32]:
    """``[U]`` mean cosine of the features over all pairs of a history's items and all modalities that both have.

    The same for every model. Features of one encoder share a direction, so even unlike items have a positive
    cosine. NaN where no two items can be compared. The paper calls histories redundant whose items say the same
    again (3.3).
    """
    parts = [np.empty(0, np.float32)]
    for start in range(0, len(rows), _BLOCK):
        block = rows.take(slice(start, start + _BLOCK))
        history, _, _ = sequences.windows(block.user, block.target, max_history)
        parts.append(mean_cosine(catalogue, torch.from_numpy(history)).numpy())
    return np.concatenate(parts)


def mean_cosine(catalogue: Catalogue, items: Tensor) -> Tensor:
    """``[B]`` mean cosine of the features over all pairs of items ``[B, L]`` (0 = none) and all their modalities.

    NaN where no two items can be compared.
    """
    ids, place = torch.cat([torch.zeros(1, dtype=torch.long), items.flatten()]).unique(return_inverse=True)
    table = catalogue.table(ids)
    owner = torch.arange(len(items)).repeat_interleave(items.shape[1])
    total, pairs = torch.zeros(len(items)), torch.zeros(len(items))
    for modality, rows in table.rows.items():
        unit = F.normalize(table.features[modality].float(), dim=1)
        compact = torch.full((len(ids),), -1)
        compact[rows] = torch.arange(len(rows))
        item = compact[place[1:]]
        is_present = item >= 0
        summed = torch.zeros(len(items), unit.shape[1])
        summed.index_add_(0, owner[is_present], unit[item[is_present]])
        count = torch.bincount(owner[is_present], minlength=len(items)).float()
        # |sum of unit vectors|^2 counts each pair twice, and each item with itself once.
        total += summed.square().sum(1) - count
        pairs += count * (count - 1)
    return torch.where(pairs > 0, total / pairs, torch.nan)
