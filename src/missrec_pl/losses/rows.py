"""The targets of a training step, among those of all processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.nn.contract import Items
from missrec_pl.system.processes import first_own_row, gather_rows, row_counts


@dataclass(eq=False, kw_only=True)
class Rows:
    """``R`` targets behind ``B`` histories of this process.

    Attributes:
        items: the encoded items that histories refer to, never augmented.
        batch: this process's rows.
    """

    items: Items
    batch: SequenceBatch

    @cached_property
    def target(self) -> Tensor:
        """``[R]`` global ids of the targets."""
        return self.items.ids[self.batch.target]

    @cached_property
    def valid(self) -> Tensor:
        """``[R]``, False for filler, which has no loss; the data layer brings none."""
        return torch.ones_like(self.batch.target, dtype=torch.bool)

    @cached_property
    def counts(self) -> list[int]:
        """Targets of each process."""
        return row_counts(self.batch.target)

    @cached_property
    def history_counts(self) -> list[int]:
        """Histories of each process."""
        return self.counts if self.batch.place is None else row_counts(self.batch.history)

    @property
    def num_histories(self) -> int:
        """Histories of all processes."""
        return sum(self.history_counts)

    @property
    def num_rows(self) -> int:
        """Valid targets of all processes."""
        return sum(self.counts)

    @cached_property
    def own(self) -> Tensor:
        """``[R]`` places of this process's rows among those that :meth:`gather` gives."""
        return first_own_row(self.counts) + torch.arange(len(self.batch.target), device=self.batch.target.device)

    @cached_property
    def own_histories(self) -> Tensor:
        """``[B]`` the same of its histories and :meth:`gather_histories`."""
        return first_own_row(self.history_counts) + torch.arange(len(self.batch), device=self.batch.target.device)

    def gather(self, rows: Tensor) -> Tensor:
        """The rows ``[R, ...]`` of all processes, with gradient."""
        return gather_rows(rows, self.counts)

    def gather_histories(self, rows: Tensor) -> Tensor:
        """The rows ``[B, ...]`` of all processes, with gradient."""
        return gather_rows(rows, self.history_counts)

    def of_rows(self, of_histories: Tensor) -> Tensor:
        """``[R]`` values whose mean over rows is the mean of ``[B]`` values over histories.

        Each history's value stands at its last target.
        """
        if self.batch.place is None:
            return of_histories
        share = self.num_rows / self.num_histories
        rows = of_histories.new_zeros(len(self.batch.place))
        return rows.index_copy(0, self._last_rows, of_histories * share)

    @cached_property
    def last_target(self) -> Tensor:
        """``[B]`` global id of each history's last target."""
        return self.target if self.batch.place is None else self.target[self._last_rows]

    @property
    def _last_rows(self) -> Tensor:
        """``[B]`` the row of each history's last target, where a history has several."""
        assert self.batch.place is not None, "asked of such batches alone"
        history = self.batch.place // self.batch.history.shape[1]
        rows = torch.arange(len(history), device=history.device)
        return torch.zeros_like(self.batch.length).scatter_reduce(0, history, rows, reduce="amax")

    def _exchanged(self, rows: Tensor) -> Tensor:
        """The rows of all processes; booleans travel as bytes, which every backend exchanges."""
        return self.gather(rows.to(torch.uint8)).bool() if rows.dtype == torch.bool else self.gather(rows)
