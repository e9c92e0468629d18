"""A training step whose logits are told."""

import torch

from missrec_pl.losses import Step
from missrec_pl.nn import DataShape, Items


class ToldStep(Step):
    """One process, one target a row.

    Args:
        logits: ``[R, C]``.
        column: ``[R]`` the target's among them; None: 0 everywhere.
        num_items: of the data.
    """

    def __init__(self, logits, column=None, num_items=60):
        self.told = logits
        self.column = torch.zeros(len(logits), dtype=torch.long) if column is None else column
        self.data = DataShape(num_items, {})
        self.views = None

    @property
    def target(self):
        return self.column + 1

    @property
    def valid(self):
        return torch.ones(len(self.told), dtype=torch.bool)

    @property
    def num_rows(self):
        return len(self.told)

    num_histories = num_rows

    @property
    def own(self):
        return torch.arange(len(self.told))

    own_histories = own

    @property
    def candidates(self):
        ids = torch.arange(1, self.told.shape[1] + 1)
        return Items(torch.zeros(len(ids), 1), ids)

    def gather(self, rows):
        return rows

    gather_histories = gather
    of_rows = gather

    def logits(self, candidates=None):
        assert candidates is None or candidates.ids.tolist() == self.candidates.ids.tolist()
        return self.told, self.column

    def cross_entropy(self, candidates):
        logits, column = self.logits(candidates)
        return -logits.log_softmax(1).gather(1, column[:, None])[:, 0]
