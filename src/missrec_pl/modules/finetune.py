"""Fine-tuning and training from scratch: next-item prediction on one target domain (paper, 3.6)."""

from __future__ import annotations

from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.modules.base import SequenceRecommender
from missrec_pl.modules.chunked_softmax import sampled_loss, whole_catalogue_loss
from missrec_pl.modules.in_batch import in_batch_loss
from missrec_pl.system.processes import row_counts


class FinetuneModule(SequenceRecommender):
    """Softmax over the whole catalogue, a sample of it or the batch's targets, plus orthogonality (eq. 8).

    A batch that comes with the whole catalogue has all items as candidates, one with a table of its own items
    those that it names, or else its targets. The table says which, not its size: a small catalogue may fit into
    one batch, and all processes have to take the same branch.
    """

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """The loss of eq. (8)."""
        assert batch.items is not None, "the data module attaches the item table"
        items = self.embed(batch.items, batch.fold)
        users = self.encode(batch, items)
        counts = row_counts(batch.target)
        if batch.items.is_whole:
            loss = whole_catalogue_loss(self, batch, users, items)
        elif batch.candidates is not None:
            loss = sampled_loss(self, batch, users, items)
        else:
            loss = in_batch_loss(self, batch, users, items, counts)
        penalty = self.orthogonality(users, sum(counts))
        total = loss + self.objective.orthogonality_weight * penalty
        self.log_losses(batch, {"loss": total, "next_item": loss, "orthogonality": penalty})
        return self.global_mean(total, counts)
