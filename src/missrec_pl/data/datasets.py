"""The data sets of a run: batches of training rows, of which a process has its share, and of evaluated users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import Dataset

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates, Negatives
from missrec_pl.data.examples.base import TrainingExamples
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.plans import Planner, planned
from missrec_pl.data.samplers import SharedBatch
from missrec_pl.data.sequences import Ints
from missrec_pl.data.splits import EvaluationRows


@dataclass(eq=False, repr=False)
class TrainingBatches(Dataset[SequenceBatch]):
    """Batches of training examples, with candidates where these are drawn.

    Every process draws the same for a global batch, what is hidden and the candidates: it knows all rows and the
    seed.

    Attributes:
        examples: the training rows; with drawn candidates they have to make tables of distinct items.
        negatives: draws the candidates; None leaves them to the loss.
        planners: find what the step would have to wait for.
    """

    examples: TrainingExamples
    negatives: Negatives | None = None
    planners: Sequence[Planner] = ()

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, shared: SharedBatch) -> SequenceBatch:
        """This process's rows of a global batch."""
        examples, random = self.examples, np.random.default_rng(shared.stream)
        everyones = examples.locate(shared.everyones, random)
        own, kept = everyones.take(shared.own)
        if self.negatives is None:
            return planned(examples.build(own)[0], self.planners)
        domain = examples.sequences.domain[everyones.of_targets()]
        fold = examples.fold_of(everyones)
        ids, log_inclusion = self.negatives(examples.targets_of(everyones), domain, fold, random)
        batch, rows = examples.build(own, ids[kept] if log_inclusion is None else ids)
        assert rows is not None, "the items that build() was given come back as rows"
        logs = None if log_inclusion is None else torch.from_numpy(log_inclusion)
        return planned(replace(batch, candidates=Candidates(torch.from_numpy(rows), logs)), self.planners)


@dataclass(eq=False, repr=False)
class EvaluationHistories(Dataset[SequenceBatch]):
    """Users to evaluate or to recommend to; items are global ids. Batches have times where the sequences do.

    Attributes:
        sequences: the sequences of all domains.
        rows: the users and where their targets are. Behind the newest item nothing stands: the target is 0, and
            the time of the request is that of the newest item.
        max_history: longest history; older items are left out.
    """

    sequences: GlobalSequences
    rows: EvaluationRows
    max_history: int

    def __len__(self) -> int:
        return len(self.rows)

    def lengths(self) -> Ints:
        """Number of items of each history."""
        return np.minimum(self.rows.target, self.max_history)

    def __getitem__(self, samples: Ints) -> SequenceBatch:
        """The batch of the given row numbers."""
        user, end = self.rows.user[samples], self.rows.target[samples]
        asked = np.minimum(end, self.sequences.lengths[user] - 1)
        length = np.minimum(end, self.max_history)
        times = self.sequences.clock(user, end - length, length, asked)
        return SequenceBatch(
            torch.from_numpy(self.sequences.spans(user, end - length, length)),
            torch.from_numpy(length),
            torch.from_numpy(np.where(asked == end, self.sequences.at(user, asked), 0)),
            torch.from_numpy(self.sequences.domain[user]),
            user=torch.from_numpy(user),
            row=torch.from_numpy(np.asarray(samples, np.int64)),
            times=None if times is None else torch.from_numpy(times),
        )
