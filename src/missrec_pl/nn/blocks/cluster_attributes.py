"""Attributes of items that have none in the data: clusters of their features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from missrec_pl.clustering import kmeans
from missrec_pl.clustering.assign import nearest_prototype
from missrec_pl.data.items.table import ItemTable
from missrec_pl.nn.contract import DataShape
from missrec_pl.nn.fitted import Fitted, FittingContext, NewItems

_CHUNK = 16384  # items read at a time


class ClusterAttributes(Fitted):
    """The k-means cluster of each item, by its modalities' features, each normalised, side by side.

    A modality that an item lacks is zeros there; an item without any has no cluster.

    Args:
        data: sizes of the data.
        num_clusters: clusters, at most one for each item that has some modality in common.
    """

    values: Tensor
    centers: Tensor

    def __init__(self, data: DataShape, num_clusters: int) -> None:
        super().__init__()
        self.num_clusters = min(num_clusters, max(data.num_present.values()))
        self.register_buffer("values", torch.zeros(data.num_items + 1, 1, dtype=torch.long))
        self.register_buffer("centers", torch.zeros(self.num_clusters, sum(data.feature_dims.values())))

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
            some, features = _side_by_side(table)
            ids.append(some)
            rows.append(features)
        found = kmeans(torch.cat(rows), self.num_clusters, seed=context.seed)
        self.centers = found.prototypes.to(self.centers)
        self.values.zero_()
        self.values[torch.cat(ids).to(self.values.device), 0] = found.assignment.to(self.values.device) + 1
        return {}

    def grow(self, new: NewItems) -> None:
        """See :meth:`Fitted.grow`: a new item belongs to the nearest cluster."""
        ids, rows = _side_by_side(new.table)
        self.values = new.padded(self.values)
        self.values[ids, 0] = nearest_prototype(rows, self.centers)[0] + 1

    def check(self) -> None:
        """See :meth:`Fitted.check`."""
        if bool(((self.values < 0) | (self.values > len(self.centers))).any()):
            raise ValueError("clusters that are not there")


def _side_by_side(table: ItemTable) -> tuple[Tensor, Tensor]:
    """Ids ``[P]`` of the items that have some modality, and their features ``[P, F]``, those of all modalities."""
    parts = [
        rows.new_zeros(len(table.ids), rows.shape[1], dtype=torch.float32).index_copy(
            0, table.rows[name], F.normalize(rows.float(), dim=1)
        )
        for name, rows in table.features.items()
    ]
    has_some = ~table.is_missing.all(1)
    return table.ids[has_some], torch.cat(parts, 1)[has_some]
