"""The data set of training batches: what all processes draw alike, and of it one process's rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.examples.base import TrainingExamples
from missrec_pl.data.negatives import Negatives
from missrec_pl.data.shared_batches import SharedBatch


class TrainingBatches(Dataset[SequenceBatch]):
    """Batches of training examples, with candidates where these are drawn.

    Every process draws the same for a global batch, what is hidden and the candidates: it knows all rows and the
    seed.

    Args:
        examples: the training rows; with drawn candidates they have to make tables of distinct items.
        negatives: draws the candidates; None leaves them to the loss.
    """

    def __init__(self, examples: TrainingExamples, negatives: Negatives | None = None) -> None:
        self.examples = examples
        self.negatives = negatives

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, shared: SharedBatch) -> SequenceBatch:
        """This process's rows of a global batch."""
        examples, random = self.examples, np.random.default_rng(shared.stream)
        everyones = examples.locate(shared.everyones, random)
        own, kept = everyones.take(shared.own)
        if self.negatives is None:
            return examples.build(own)[0]
        domain = examples.sequences.domain[everyones.of_targets()]
        drawn = self.negatives(examples.targets_of(everyones), domain, examples.fold_of(everyones), random)
        is_shared = drawn.log_inclusion is not None
        batch, rows = examples.build(own, drawn.ids if is_shared else drawn.ids[kept])
        assert rows is not None, "the items that build() was given come back as rows"
        log_inclusion = None if drawn.log_inclusion is None else torch.from_numpy(drawn.log_inclusion)
        return replace(batch, candidates=Candidates(torch.from_numpy(rows), log_inclusion))
