"""What both phases share: embedding, encoding, logits, optimiser groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import Objective, orthogonality
from missrec_pl.modules.ranking import RankingModule, rows_of
from missrec_pl.nn import ItemEmbeddings, SequenceModel
from missrec_pl.nn.encoding import GroupedUsers, encode_in_buckets, history_rows
from missrec_pl.nn.scorers import ScoredRows
from missrec_pl.system.precision import exact_float32, in_float32, widened

EMBED_CHUNK = 16384  # items embedded at a time outside of training steps
_CACHED_LOGITS = 1 << 21  # ranked at a time on CPU: what a logit passes through stays in the cache


class SequenceRecommender(RankingModule):
    """A network, its objective, and full-ranking evaluation; a leaf says what a training step minimises.

    Args:
        model: the network.
        objective: weights and temperature of the losses.
        optimizer: builds the optimiser from parameter groups (a Hydra partial).
        score_term_lr: learning rate of the few scalars of the score terms. They travel several units while weights
            travel hundredths.
        max_logits: logits of one piece of work: larger catalogues are trained on and evaluated in chunks.
        length_buckets: groups of similar length that a batch is encoded in; see :func:`encode_in_buckets`.
        ks: cut-offs of Recall and NDCG.
        mask_history: True takes the items of the history out of the candidates at evaluation (not the paper's
            protocol); the target itself always stays.
        compat_metrics: True reproduces the released evaluator's off-by-one; see :class:`RankingMetrics`.
    """

    def __init__(
        self,
        model: SequenceModel,
        objective: Objective,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
        *,
        score_term_lr: float = 0.03,
        length_buckets: int = 8,
        max_logits: int = 1 << 25,
        ks: tuple[int, ...] = (10, 50),
        mask_history: bool = False,
        compat_metrics: bool = False,
    ) -> None:
        super().__init__(ks=ks, mask_history=mask_history, compat_metrics=compat_metrics)
        self.model = model
        self.objective = objective
        self.make_optimizer = optimizer
        self.score_term_lr = score_term_lr
        self.length_buckets = length_buckets
        self.max_logits = max_logits
        self._evaluated_items: ItemEmbeddings | None = None

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """Buffers that DDP need not send in every step, for every process has the same: they can be tens of MB.

        Interest tables are exchanged when they are made, and what score terms know each process makes of the data.
        """
        parts = [self.model.interests, self.model.collaborative, *self.model.score_terms]
        equal = {id(buffer) for part in parts if part is not None for buffer in part.buffers()}
        return [name for name, buffer in self.named_buffers() if id(buffer) in equal]

    def configure_optimizers(self) -> Optimizer:
        """One group for the network and one, with its own rate, for the score terms; frozen weights in none."""
        terms = [parameter for term in self.model.score_terms for parameter in term.parameters()]
        ids = {id(parameter) for parameter in terms}
        network = [p for p in self.parameters() if p.requires_grad and id(p) not in ids]
        groups: list[dict[str, Any]] = [{"params": network}]
        if terms := [p for p in terms if p.requires_grad]:
            groups.append({"params": terms, "lr": self.score_term_lr, "weight_decay": 0.0})
        return self.make_optimizer(groups)

    def embed(self, table: ItemTable, fold: int | None = None) -> ItemEmbeddings:
        """Item tokens and interests of an item table, as the users of a fold see them; None: as all do."""
        items = self.model.embed_items(table.features, table.rows, table.is_missing, table.ids, fold)
        return replace(items, tokens=widened(items.tokens))

    def encode(self, batch: SequenceBatch, items: ItemEmbeddings) -> GroupedUsers:
        """The users of a batch."""
        history, items = history_rows(batch, items)
        return encode_in_buckets(self.model, history, batch.length, items, self.length_buckets)

    def logits(
        self, batch: SequenceBatch, state: Tensor, items: ItemEmbeddings, candidates: ItemEmbeddings
    ) -> Tensor:
        """``[B, C]`` scores over temperature plus the score terms, never in less than float32."""
        with in_float32(self.device):
            logits = self.model.score(state, candidates) / self._temperature
            rows = ScoredRows(items.ids[batch.history], batch.length, candidates.ids, batch.later, candidates.memo)
            return self.model.add_score_terms(logits, rows)

    @property
    def _temperature(self) -> float:
        objective = self.objective
        if self.training or objective.eval_temperature is None:
            return objective.temperature
        return objective.eval_temperature

    def orthogonality(self, users: GroupedUsers, batch_size: int | None = None) -> Tensor:
        """``[B]`` the regulariser of eqs. (7) and (8); ``batch_size`` is that of all processes."""
        form, rows = self.objective.orthogonality_form, batch_size or len(users.state)
        with in_float32(self.device):
            return users.in_order(
                [orthogonality(widened(group.interests), group.is_padding, form, rows) for group in users.groups]
            )

    def global_mean(self, losses: Tensor, counts: list[int]) -> Tensor:
        """The mean over the global batch, as seen by one process.

        DDP averages gradients over processes, whose shards may differ by a row: each sums its rows and divides by
        the global number, times the number of processes.

        Args:
            losses: ``[B]`` of this process's rows.
            counts: rows of each process, as of :func:`row_counts`.
        """
        return losses.sum() * (len(counts) / sum(counts))

    def log_losses(self, batch: SequenceBatch, losses: dict[str, Tensor]) -> None:
        """Log the epoch means of per-row losses as ``train/<name>``."""
        values = {f"train/{name}": rows.detach().mean() for name, rows in losses.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch), sync_dist=True)
        self.log("loss", values["train/loss"], on_step=True, on_epoch=False, prog_bar=True, logger=False)

    def start_ranking(self) -> None:
        """Embed the catalogue."""
        self._evaluated_items = self.embed_catalogue()

    def finish_ranking(self) -> None:
        """Forget the embedded catalogue."""
        self._evaluated_items = None

    def score_blocks(self, batch: SequenceBatch) -> Iterator[tuple[SequenceBatch, Tensor]]:
        """Blocks of rows that fit into the cache (on CPU) or into ``max_logits``, with ``[b, N]`` logits."""
        items = self._evaluated_items
        if items is None:
            raise RuntimeError("ranks() needs the embedded catalogue of an evaluation epoch")
        limit = min(self.max_logits, _CACHED_LOGITS) if self.device.type == "cpu" else self.max_logits
        step = max(1, limit // self.catalogue.num_items)
        state = self.encode(batch, items).state
        for start in range(0, len(batch), step):
            block = slice(start, start + step)
            rows = rows_of(batch, block)
            yield rows, self.logits(rows, state[block], items, items.without_padding()).float()

    def embed_catalogue(self) -> ItemEmbeddings:
        """All items, embedded in chunks; row = global id."""
        with exact_float32(self.device):
            parts = list(self._chunks())
        first = parts[0]
        return ItemEmbeddings(
            torch.cat([first.tokens[:1], *(part.tokens[1:] for part in parts)]),
            torch.cat([first.is_missing[:1], *(part.is_missing[1:] for part in parts)]),
            torch.cat([first.interest[:1], *(part.interest[1:] for part in parts)]),
            torch.cat([first.ids[:1], *(part.ids[1:] for part in parts)]),
        )

    def embedded_chunks(self) -> Iterator[ItemEmbeddings]:
        """All items for interest discovery, chunk by chunk; row 0 of each chunk is padding.

        What ``is_missing`` says here is what the network does not want to be clustered.
        """
        for items in self._chunks():
            yield replace(items, is_missing=self.model.without_interest(items))

    def _chunks(self) -> Iterator[ItemEmbeddings]:
        self.catalogue.to(self.device)
        for table in self.catalogue.chunks(EMBED_CHUNK, self.device):
            yield self.embed(table)
