"""How alike the items of a history are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.splits import EvaluationRows

_BLOCK = 8192  # histories at a time


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
        block = EvaluationRows(rows.user[start : start + _BLOCK], rows.target[start : start + _BLOCK])
        history, _ = sequences.histories(block, max_history)
        parts.append(_of_histories(catalogue, torch.from_numpy(history)).numpy())
    return np.concatenate(parts)


def _of_histories(catalogue: Catalogue, history: Tensor) -> Tensor:
    ids, place = torch.cat([torch.zeros(1, dtype=torch.long), history.flatten()]).unique(return_inverse=True)
    table = catalogue.table(ids)
    owner = torch.arange(len(history)).repeat_interleave(history.shape[1])
    total, pairs = torch.zeros(len(history)), torch.zeros(len(history))
    for modality, rows in table.rows.items():
        unit = F.normalize(table.features[modality].float(), dim=1)
        compact = torch.full((len(ids),), -1)
        compact[rows] = torch.arange(len(rows))
        item = compact[place[1:]]
        is_present = item >= 0
        summed = torch.zeros(len(history), unit.shape[1])
        summed.index_add_(0, owner[is_present], unit[item[is_present]])
        count = torch.bincount(owner[is_present], minlength=len(history)).float()
        # |sum of unit vectors|^2 counts each pair twice, and each item with itself once.
        total += summed.square().sum(1) - count
        pairs += count * (count - 1)
    return torch.where(pairs > 0, total / pairs, torch.nan)
