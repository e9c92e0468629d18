"""Exact ranking of all items of a domain, whatever scores them: of targets, and to recommend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import lightning as L
import torch
from torch import Tensor, nn

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.metrics import Ranking, RankingMetrics, ranks_without_history_, target_ranks
from missrec_pl.serving.scoring import best
from missrec_pl.system.precision import exact_float32

_Rank = Callable[[Tensor, SequenceBatch], Tensor]  # scores and whose they are -> ranks of the targets


class RankingModule(L.LightningModule, ABC):
    """Validation, test and recommendations by full ranking; a leaf says how items are scored.

    Attributes:
        num_recommended: items that :meth:`predict_step` recommends to each user.
        recommends_seen: whether items of a user's sequence are recommended again.

    Args:
        ks: cut-offs of Recall and NDCG.
        mask_history: True takes the items of the history out of the candidates at evaluation (not the paper's
            protocol); a target that repeats one of them is a miss.
        compat_metrics: True reproduces the released evaluator's off-by-one; see :class:`RankingMetrics`.
    """

    def __init__(
        self, *, ks: tuple[int, ...] = (10, 50), mask_history: bool = False, compat_metrics: bool = False
    ) -> None:
        super().__init__()
        self.ks = tuple(ks)
        self.mask_history = mask_history
        self.compat_metrics = compat_metrics
        self.num_recommended, self.recommends_seen = 10, False
        self.val_metrics = RankingMetrics(self.ks, compat=compat_metrics)
        self.test_metrics = RankingMetrics(self.ks, compat=compat_metrics)
        self.test_metrics_history_excluded = RankingMetrics(self.ks, compat=compat_metrics)

    @property
    def catalogue(self) -> Catalogue:
        """The items of the data module in use."""
        catalogue: Catalogue = self.trainer.datamodule.catalogue  # type: ignore[attr-defined]
        return catalogue

    @abstractmethod
    def start_ranking(self) -> None:
        """Compute, once for an evaluation, what does not depend on the users."""

    @abstractmethod
    def finish_ranking(self) -> None:
        """Forget it."""

    @abstractmethod
    def score_blocks(self, batch: SequenceBatch) -> Iterator[tuple[SequenceBatch, Tensor]]:
        """Blocks of rows in order, with scores ``[b, N]`` of all items, which may be changed in place."""

    def on_validation_epoch_start(self) -> None:
        """Embed the catalogue once."""
        self.start_ranking()

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Rank the targets of validation users."""
        self.val_metrics.update(self.ranks(batch))

    def on_validation_epoch_end(self) -> None:
        """Log ``val/recall@10`` and so on, and forget the embedded catalogue."""
        self._log_metrics("val", self.val_metrics)
        self.finish_ranking()

    def on_test_epoch_start(self) -> None:
        """Embed the catalogue once."""
        self.start_ranking()

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> Ranking:
        """Rank the targets of test users, and keep for callbacks who was recommended what."""
        found = self.ranking(batch)
        self.test_metrics.update(found["ranks"][:, 0])
        self.test_metrics_history_excluded.update(found["ranks"][:, 1])
        return found

    def ranking(self, batch: SequenceBatch) -> Ranking:
        """Both ranks of the targets, and the lists under the run's protocol, 0 where a domain has fewer items."""
        lists: list[Tensor] = []

        def rank_and_list(scores: Tensor, rows: SequenceBatch) -> Tensor:
            ranks = self._rank(scores, rows)
            best, items = scores.topk(min(max(self.ks), scores.shape[1]), dim=1)
            lists.append((items + 1).masked_fill_(best == float("-inf"), 0))
            return ranks

        ranks = self._ranks(batch, (rank_and_list, _rank_without_history))
        return {"ranks": ranks, "lists": torch.cat(lists)}

    def on_test_epoch_end(self) -> None:
        """Log ``test/recall@10`` and so on, and the same without the history under ``test_history_excluded/``."""
        self._log_metrics("test", self.test_metrics)
        self._log_metrics("test_history_excluded", self.test_metrics_history_excluded)
        self.finish_ranking()

    def on_predict_epoch_start(self) -> None:
        """Embed the catalogue once."""
        self.start_ranking()

    def predict_step(self, batch: SequenceBatch, batch_idx: int) -> dict[str, Tensor]:
        """The best items of each user's domain, as serving recommends them.

        Returns:
            ``row`` ``[B]`` which user of the loader, ``items`` ``[B, k]`` global ids, best first, 0 where fewer
            are left, and their ``scores`` ``[B, k]``.
        """
        found = []
        for rows, scores in self._own_domain(batch):
            if not self.recommends_seen:
                sequences = self.trainer.datamodule.sequences  # type: ignore[attr-defined]
                seen = sequences.whole(rows.user.numpy(force=True))  # type: ignore[union-attr]
                row, item = (torch.from_numpy(one).long().to(scores.device) for one in seen)
                scores[row, item - 1] = float("-inf")
            found.append(best(scores, self.num_recommended))
        values, columns = (torch.cat(parts) for parts in zip(*found, strict=True))
        assert batch.row is not None, "the loader names the users"
        return {
            "row": batch.row,
            "items": (columns + 1).masked_fill_(values == float("-inf"), 0),
            "scores": values,
        }

    def on_predict_epoch_end(self) -> None:
        """Forget the embedded catalogue."""
        self.finish_ranking()

    def ranks(self, batch: SequenceBatch) -> Tensor:
        """``[B]`` ranks of the targets among all items of their own domain, in float32 whatever trains."""
        return self._ranks(batch, (self._rank,))[:, 0]

    def _ranks(self, batch: SequenceBatch, rankings: Sequence[_Rank]) -> Tensor:
        """``[B, len(rankings)]`` among a row's own domain; a later ranking may change the scores in place."""
        blocks = self._own_domain(batch)
        return torch.cat(
            [torch.stack([rank(scores, rows) for rank in rankings], dim=1) for rows, scores in blocks]
        )

    def _own_domain(self, batch: SequenceBatch) -> Iterator[tuple[SequenceBatch, Tensor]]:
        """:meth:`score_blocks` in float32 whatever trains, items of other domains at minus infinity."""
        with exact_float32(self.device):
            for rows, scores in self.score_blocks(batch):
                if len(self.catalogue.domains) > 1:
                    sizes = torch.tensor([domain.num_items for domain in self.catalogue.domains])
                    owner = torch.repeat_interleave(sizes).to(rows.domain.device)
                    scores.masked_fill_(owner != rows.domain[:, None], float("-inf"))
                yield rows, scores

    def _rank(self, scores: Tensor, batch: SequenceBatch) -> Tensor:
        """``[B]`` under the run's protocol."""
        return _rank_without_history(scores, batch) if self.mask_history else _rank(scores, batch)

    def _log_metrics(self, stage: str, metrics: RankingMetrics) -> None:
        # compute() has already gathered the sums of all processes: nothing is left to synchronise.
        values = {f"{stage}/{name}": value for name, value in metrics.compute().items()}
        metrics.reset()
        self.log_dict(values, prog_bar=False, sync_dist=False)


class Ensemble(RankingModule):
    """Ranks by the product of its members' probabilities; costs their memory and time added up.

    A row's logits added up rank as that product does: what a softmax divides by is the same for all its items.

    Args:
        members: trained on the same data, evaluated alike; the first one's protocol is used.
    """

    def __init__(self, members: Sequence[RankingModule]) -> None:
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

    def _members(self) -> Iterator[RankingModule]:
        for member in self.members:
            assert isinstance(member, RankingModule)
            yield member


def _rank(scores: Tensor, batch: SequenceBatch) -> Tensor:
    return target_ranks(scores, batch.target - 1)


def _rank_without_history(scores: Tensor, batch: SequenceBatch) -> Tensor:
    """``[B]`` where the history's items are no candidates; takes them out of the scores in place."""
    return ranks_without_history_(scores, batch.history, batch.target - 1)
