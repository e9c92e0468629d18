"""The two floors: chance and popularity."""

import zlib

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from missrec_pl.baselines.base import BaselineData
from missrec_pl.baselines.registry import register


class RandomScores:
    """Uniform scores, drawn anew for every history from a hash of the history and the seed.

    So a row's scores do not change with the batch size, the order of the rows or the number of processes.
    """

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._num_items = 0

    def fit(self, data: BaselineData) -> None:
        """Remember the number of items."""
        self._num_items = data.num_items

    def scores(self, histories: Int[Tensor, "B L"]) -> Float[Tensor, "B N"]:
        """Draw ``[B, N]`` scores in [0, 1)."""
        scores = torch.empty(len(histories), self._num_items)
        for row, history in zip(scores, histories.numpy(), strict=True):
            # Padding is left out of the hash: it depends on the longest history of the batch.
            content = str(self._seed).encode() + history[history > 0].astype("<i8").tobytes()
            generator = torch.Generator().manual_seed(zlib.crc32(content))
            torch.rand(self._num_items, generator=generator, out=row)
        return scores


class Popularity:
    """The number of times an item occurs in the training parts, the same for every user."""

    name = "popularity"

    def __init__(self) -> None:
        self._counts = torch.empty(0)

    def fit(self, data: BaselineData) -> None:
        """Count the training interactions of each item."""
        counts = np.bincount(data.train_items, minlength=data.num_items + 1)[1:]
        self._counts = torch.from_numpy(counts).float()

    def scores(self, histories: Int[Tensor, "B L"]) -> Float[Tensor, "B N"]:
        """Repeat the counts for ``[B]`` histories."""
        return self._counts.repeat(len(histories), 1)


@register("random")
def _random(data: BaselineData, seed: int) -> RandomScores:
    return RandomScores(seed)


@register("popularity")
def _popularity(data: BaselineData, seed: int) -> Popularity:
    return Popularity()
