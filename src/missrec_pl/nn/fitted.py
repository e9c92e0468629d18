"""Parts of a network that are fitted to the training data instead of learned by gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError
from missrec_pl.nn.items import Items
from missrec_pl.system.processes import Share

When = Literal["once", "epoch"]
On = Literal["first", "all"]


@dataclass(frozen=True)
class FittingContext:
    """What a fitted part may look at: the training part of the data, never what is held out.

    Attributes:
        catalogue: the items of the run and their features.
        training_parts: gives all users' training items ``[I]``, one user after the other, and where each user's
            part starts (and the end) ``[U + 1]``.
        fold_of_user: ``[U]`` cross-fitting fold of each user; None without folds.
        items: yields all items as the network encodes them now, chunk by chunk; row 0 of each chunk is padding.
        seed: the run's seed.
        share: this process among those of the run.
    """

    catalogue: Catalogue
    training_parts: Callable[[], tuple[NDArray[np.int32], NDArray[np.int64]]]
    fold_of_user: NDArray[np.int64] | None
    items: Callable[[], Iterator[Items]]
    seed: int
    share: Share

    def item_counts(self) -> NDArray[np.int64]:
        """``[N + 1]`` training interactions of each item; padding has none."""
        items, _ = self.training_parts()
        return np.bincount(items, minlength=self.catalogue.num_items + 1)


@dataclass(frozen=True)
class NewItems:
    """Items that came after training, behind those that were trained on; they have content alone.

    Attributes:
        ids: ``[K]`` their global ids ``N + 1..N + K``.
        features: per modality ``[K, F]`` as an encoder gives them; zeros where an item lacks it.
        table: the same as the network reads them, row 0 padding.
        encode: gives these items as the network encodes them now, row 0 padding.
    """

    ids: Tensor
    features: Mapping[str, Tensor]
    table: ItemTable
    encode: Callable[[], Items]

    def padded(self, rows: Tensor) -> Tensor:
        """A table ``[N + 1, ...]`` of all items with rows of zeros for the new ones; what is behind stays last."""
        first = int(self.ids[0])
        return torch.cat([rows[:first], rows.new_zeros(len(self.ids), *rows.shape[1:]), rows[first:]])


class Fitted(nn.Module, ABC):
    """A part whose buffers are fitted.

    Attributes:
        every: ``once`` before training, or before every n-th ``epoch``.
        every_n_epochs: the n.
        saved: whether a checkpoint carries the buffers. What it does not carry is fitted again wherever the
            checkpoint is used.
        on: who fits: the ``first`` process, which sends its buffers to the others, or ``all`` together.
        folds: whether it needs cross-fitting folds of users: a training row must not find its own user's
            interactions in what is fitted.
    """

    every: When = "once"
    every_n_epochs: int = 1
    saved: bool = True
    on: On = "first"
    folds: ClassVar[bool] = False

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """True before the first fit."""

    @property
    def count_in_words(self) -> str:
        """How much there is of it, for the log of a run; empty where that says nothing."""
        return ""

    @abstractmethod
    def fit(self, context: FittingContext) -> dict[str, float]:
        """Fit the buffers; what is worth logging, by name."""

    def grow(self, new: NewItems) -> None:
        """Make room for items that came after training, without fitting anything again.

        A part that holds nothing of each item has nothing to do.

        Raises:
            ConfigError: the part holds something of each item, and does not say how to make room.
        """
        rows = int(new.ids[0])
        if any(buffer.dim() and len(buffer) == rows for buffer in self.buffers()):
            raise ConfigError(f"{type(self).__name__} cannot take items that came after training: train again.")

    def check(self) -> None:
        """Look at buffers that were read from a file that anybody may have written.

        Raises:
            ValueError: they do not go together, such as an index out of range.
        """


def refit(part: Fitted, context: FittingContext) -> dict[str, float]:
    """Fit a part so that every process ends with the same bits, the first one's, whatever the buffers' shapes.

    Returns:
        What the part reports, in all processes.
    """
    share = context.share
    told = part.fit(context) if part.on == "all" or share.index == 0 else {}
    if share.count == 1:
        return told
    named = dict(part.named_buffers()) if share.index == 0 else {}
    described = share.object_from_first([(name, tuple(b.shape), b.dtype) for name, b in named.items()])
    for name, shape, dtype in described:
        owner, _, leaf = name.rpartition(".")
        module = part.get_submodule(owner)
        before: Tensor | None = getattr(module, leaf)
        device = before.device if before is not None else next((b.device for b in part.buffers()), "cpu")
        setattr(module, leaf, share.send(before, shape, dtype).to(device))
    return dict(share.object_from_first(told))
