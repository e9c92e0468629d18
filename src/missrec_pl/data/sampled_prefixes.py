"""Training samples whose batches carry the candidates of a sampled softmax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import Dataset

from missrec_pl.data.batch import SequenceBatch, TrainingPrefixes
from missrec_pl.data.candidates import CandidateDraw, Candidates
from missrec_pl.data.samplers import SharedBatch


class SampledPrefixes(Dataset[SequenceBatch]):
    """Training prefixes that come with the candidates of their global batch.

    Every process makes the same candidates: it knows the rows of the global batch and the seed of its draw.

    Args:
        prefixes: the training samples.
        num_negatives: see :class:`CandidateDraw`.
    """

    def __init__(self, prefixes: TrainingPrefixes, num_negatives: int) -> None:
        self.prefixes = prefixes
        self.draws = [CandidateDraw(counts, num_negatives) for counts in prefixes.target_counts()]

    def __len__(self) -> int:
        return len(self.prefixes)

    def __getitem__(self, shared: SharedBatch) -> SequenceBatch:
        """This process's rows of a global batch, with a table of their items and the candidates."""
        targets = self.prefixes.targets(shared.everyones)
        draw = self.draws[self.prefixes.fold_of(shared.everyones) or 0]
        ids = draw(targets, np.random.default_rng(shared.stream))
        batch = self.prefixes.batch(shared.mine, also=ids)
        assert batch.items is not None, "a deduplicated batch has a table"
        rows = np.searchsorted(batch.items.ids.numpy(), ids)
        log_inclusion = draw.log_inclusion(ids, len(targets))
        return replace(batch, candidates=Candidates(torch.from_numpy(rows), torch.from_numpy(log_inclusion)))
