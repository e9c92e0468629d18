"""Several trained networks that rank together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.modules.ranking import RankingModule
from missrec_pl.modules.training import TrainingModule


class Ensemble(RankingModule):
    """Ranks by the product of its members' probabilities; costs their memory and time added up.

    A row's logits added up rank as that product does: what a softmax divides by is the same for all its items.

    Args:
        members: trained on the same data, evaluated alike; the first one's protocol is used.
    """

    def __init__(self, members: Sequence[TrainingModule]) -> None:
        first = members[0]
        super().__init__(ks=first.ks, mask_history=first.mask_history, compat_metrics=first.compat_metrics)
        self.members = nn.ModuleList(members)

    def start_ranking(self) -> None:
        """Each member embeds the catalogue."""
        for member in self._members():
            member.trainer = self.trainer
            member.start_ranking()

    def finish_ranking(self) -> None:
        """Each member forgets it."""
        for member in self._members():
            member.finish_ranking()

    def score_blocks(self, batch: SequenceBatch) -> Iterator[tuple[SequenceBatch, Tensor]]:
        """The members' blocks, which are of the same rows, added up."""
        for blocks in zip(*(member.score_blocks(batch) for member in self._members()), strict=True):
            rows, total = blocks[0][0], blocks[0][1]
            for _, scores in blocks[1:]:
                total += scores
            yield rows, total

    def _members(self) -> Iterator[TrainingModule]:
        for member in self.members:
            assert isinstance(member, TrainingModule)
            yield member
