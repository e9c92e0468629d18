"""Pre-training: sequence-item and sequence-sequence contrast (paper, 3.5)."""

from __future__ import annotations

from torch import Tensor

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.losses import seq_seq
from missrec_pl.modules.base import SequenceRecommender
from missrec_pl.modules.in_batch import in_batch_loss, own_columns
from missrec_pl.system.precision import in_float32
from missrec_pl.system.processes import gather_rows, row_counts


class PretrainModule(SequenceRecommender):
    """Sequence-item contrast, sequence-sequence contrast of two views, orthogonality (eq. 7)."""

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """The loss of eq. (7). Candidates are never augmented."""
        assert batch.items is not None, "the data module attaches the item table"
        clean = self.embed(batch.items)
        first, second = self._views(batch)
        items = clean if first is batch else self.embed(first.items)  # type: ignore[arg-type]
        users = self.encode(first, items)
        counts = row_counts(batch.target)
        loss_seq_item = in_batch_loss(self, batch, users, clean, counts)
        penalty = self.orthogonality(users, sum(counts))
        total = loss_seq_item + self.objective.orthogonality_weight * penalty
        losses = {"seq_item": loss_seq_item, "orthogonality": penalty}
        if second is not None:
            items = clean if second.items is batch.items else self.embed(second.items)  # type: ignore[arg-type]
            augmented = self.encode(second, items)
            with in_float32(self.device):
                losses["seq_seq"] = seq_seq(
                    users.state,
                    gather_rows(users.state, counts),
                    gather_rows(augmented.state, counts),
                    own_columns(batch, counts),
                    self.objective.temperature,
                    self.objective.seq_seq_form,
                )
            total = total + self.objective.seq_seq_weight * losses["seq_seq"]
            if self.objective.orthogonality_of_both_views:
                second_penalty = self.orthogonality(augmented, sum(counts))
                total = total + self.objective.orthogonality_weight * second_penalty
                losses["orthogonality"] = penalty + second_penalty
        self.log_losses(batch, {"loss": total, **losses})
        return self.global_mean(total, counts)

    def _views(self, batch: SequenceBatch) -> tuple[SequenceBatch, SequenceBatch | None]:
        augmentation = self.objective.augmentation
        if augmentation is None or not (
            self.objective.seq_seq_weight or self.objective.orthogonality_of_both_views
        ):
            return batch, None
        if needed := getattr(augmentation, "views", ()):
            assert batch.items is not None, "the data module attaches the item table"
            batch = batch.with_items(self.catalogue.with_views(batch.items, needed))
        return augmentation(batch)
