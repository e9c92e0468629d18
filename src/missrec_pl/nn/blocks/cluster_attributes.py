"""Attributes of items that have none in the data: clusters of their features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.clustering import kmeans
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.fitted import Fitted, FittingContext

_CHUNK = 16384  # items read at a time


class ClusterAttributes(Fitted):
    """The k-means cluster of each item, by its modalities' features, each normalised, side by side.

    A modality that an item lacks is zeros there; an item without any has no cluster.

    Args:
        data: sizes of the data.
        num_clusters: clusters, at most one for each item that has some modality in common.
    """

    values: Tensor

    def __init__(self, data: DataShape, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = min(num_clusters, max(data.num_present.values()))
        self.register_buffer("values", torch.zeros(data.num_items + 1, 1, dtype=torch.long))

    @property
    def is_empty(self) -> bool:
        """True before the first fit."""
        return not bool(self.values.any())

    @property
    def count_in_words(self) -> str:
        """How many clusters."""
        return f"{self.num_clusters} clusters"

    def fit(self, context: FittingContext) -> dict[str, float]:
        """Cluster the items of the catalogue."""
        ids, rows = [], []
        for table in context.catalogue.chunks(_CHUNK, torch.device("cpu")):
            blank = [torch.zeros(len(table.ids), rows.shape[1]) for rows in table.features.values()]
            parts = [
                zeros.index_copy(0, table.rows[name], F.normalize(table.features[name].float(), dim=1))
                for zeros, name in zip(blank, table.features, strict=True)
            ]
            has_some = ~table.is_missing.all(1)
            ids.append(table.ids[has_some])
            rows.append(torch.cat(parts, 1)[has_some])
        found = kmeans(torch.cat(rows), self.num_clusters, seed=context.seed)
        self.values.zero_()
        self.values[torch.cat(ids).to(self.values.device), 0] = found.assignment.to(self.values.device) + 1
        return {}
