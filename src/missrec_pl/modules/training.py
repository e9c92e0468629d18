"""The one Lightning module: trains and evaluates any network that keeps the contract of `nn/contract.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from missrec_pl.checkpoints.versions import rename_weights
from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.items.table import ItemTable
from missrec_pl.losses import Loss, Step
from missrec_pl.modules.epoch_means import EpochMeans
from missrec_pl.modules.histories import before_places, rows_of, torn, with_masked_place
from missrec_pl.modules.optimization import MakeOptimizer, MakeScheduler, Optimization
from missrec_pl.modules.ranking import RankingModule
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs, Items, Recommender, Users
from missrec_pl.nn.encoding import GroupedUsers, encode_together, encode_users, may_join
from missrec_pl.nn.fitted import Fitted
from missrec_pl.nn.scorers import Scorers
from missrec_pl.system.precision import exact_float32, in_float32, widened
from missrec_pl.system.processes import Share
from missrec_pl.system.shapes import are_fixed

_MEANS = "epoch_means"  # key in checkpoints
EMBED_CHUNK = 16384  # items encoded at a time outside of training steps
_CACHED_LOGITS = 1 << 21  # ranked at a time on CPU: a block of logits then fits into the processor's cache


class TrainingModule(RankingModule):
    """A network, its loss, auxiliary scorers, and full-ranking evaluation.

    Args:
        model: the network.
        loss: what a training step minimises.
        optimizer: builds the optimiser from parameter groups (a Hydra partial).
        data: sizes of the data.
        scorers: auxiliary scorers, whose scores are added to the logits.
        scheduler: builds what changes the learning rates after every step; None keeps them.
        scorer_lr: learning rate of the few scalars of the scorers. They travel several units while weights travel
            hundredths.
        views: whether training makes the further views that the loss asks for (pre-training).
        max_logits: logits of one piece of work: larger catalogues are trained on and evaluated in chunks.
        length_buckets: groups of similar length that a batch is encoded in; see :func:`encode_users`.
        ks: see :class:`RankingModule`, as for ``mask_history`` and ``compat_metrics``.

    Attributes:
        changed_options: values of the optimiser (``lr``, ``scorer_lr``, ``betas``, ``schedule``, ...) that a
            continued run takes from its config, because they are not the checkpoint's.
    """

    def __init__(
        self,
        model: Recommender,
        loss: Loss,
        optimizer: MakeOptimizer,
        *,
        data: DataShape,
        scorers: Scorers | None = None,
        scheduler: MakeScheduler | None = None,
        scorer_lr: float = 0.03,
        views: bool = False,
        length_buckets: int = 8,
        max_logits: int = 1 << 25,
        ks: tuple[int, ...] = (10, 50),
        mask_history: bool = False,
        compat_metrics: bool = False,
    ) -> None:
        super().__init__(ks=ks, mask_history=mask_history, compat_metrics=compat_metrics)
        self.model = model
        self.loss = loss
        self.scorers = Scorers() if scorers is None else scorers
        self.data = data
        self.optimization = Optimization(optimizer, scheduler, scorer_lr)
        self.changed_options: frozenset[str] = frozenset()
        self.views = views
        self.length_buckets = length_buckets
        self.max_logits = max_logits
        self.epoch_means = EpochMeans()
        self._stored_means: dict[str, Any] | None = None
        self._evaluated: tuple[Items, Items] | None = None  # the catalogue with the padding item and without

    @property
    def fitted_parts(self) -> list[Fitted]:
        """The fitted parts of the network, of the scorers and of the loss."""
        return [*self.model.fitted_parts(), *self.scorers.fitted_parts(), *self.loss.fitted_parts()]

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """Buffers that DDP need not send in every step: fitted parts are sent when they are fitted."""
        fitted = {id(buffer) for part in self.fitted_parts for buffer in part.buffers()}
        return [name for name, buffer in self.named_buffers() if id(buffer) in fitted]

    def configure_optimizers(self) -> Any:
        """One group for the network and one, with its own rate, for the scorers; frozen weights in none."""
        return self.optimization.configured(self, self.scorers)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Within an epoch its means so far go along."""
        if self.epoch_means.begun and not self.trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            checkpoint[_MEANS] = self.epoch_means.stored(Share.mine())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning loads the weights of a resumed run itself: those of an earlier version get today's names."""
        rename_weights(checkpoint)
        self._stored_means = checkpoint.get(_MEANS)

    def on_fit_start(self) -> None:
        """With fixed shapes the loader finds what the steps would wait for; what is fitted once, is fitted."""
        if are_fixed(self.device):
            self.trainer.datamodule.planners = self.scorers.planners()  # type: ignore[attr-defined]

    def on_train_start(self) -> None:
        """Go on with an epoch's means; schedules that depend on the length of the run know it from now on."""
        if self._stored_means is not None:
            self.epoch_means.restore(self._stored_means, Share.mine(), self.device)
        self.optimization.settle(self.trainer, self.changed_options)

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """The loss of a batch. Candidates are never augmented."""
        clean = self.encode_items(batch.items, batch.fold)
        first, further = self._views(batch)
        shown = [first, *(further or [])]
        read = [clean if one.items is batch.items else self.encode_items(one.items) for one in shown]
        users, *views = self._encode_views(shown, read)
        histories = self.histories(batch)
        is_read = batch.place is not None and len(self.scorers) > 0  # what stands before each target: by scorers
        step = Step(
            network=self.model,
            data=self.data,
            histories=histories,
            items=clean,
            users=users,
            views=None if further is None else views,
            batch=batch,
            rows=before_places(batch) if is_read else histories,
            scores=self.logits,
            max_logits=self.max_logits,
            mask_duplicates=self.loss.mask_duplicates,
            padding_candidate=self.loss.padding_candidate,
            duplicate_logit=self.loss.duplicate_logit,
        )
        losses = self.loss(step)
        self.log_losses(batch, losses)
        # DDP averages gradients over processes, whose shards may differ by a row: each sums its rows and divides
        # by the global number, times the number of processes.
        mean: Tensor = losses["loss"].sum() * (len(step.counts) / step.num_rows)
        return mean

    def encode_items(self, table: ItemTable | None, fold: int | None = None) -> Items:
        """The items of a table, as the users of a fold see them; None: as all do. Never in less than float32."""
        assert table is not None, "the data module attaches the item table"
        items = self.model.encode_items(ItemInputs(table, fold))
        if items.vectors.dtype.itemsize < 4:
            items = replace(items, vectors=widened(items.vectors))
        return replace(items, first=0, is_rising=True) if table.is_whole else items

    def encode(self, batch: SequenceBatch, items: Items, *, is_view: bool = False) -> GroupedUsers:
        """The users of a batch; of a further view behind the last place alone."""
        histories = self.histories(batch)
        if isinstance(batch, TornBatch):
            histories, items = torn(batch, histories, items)
        asked, places = self.asked(histories, batch), None if is_view else batch.place
        return encode_users(self.model, asked, items, num_buckets=self.length_buckets, places=places)

    def _encode_views(self, batches: Sequence[SequenceBatch], items: Sequence[Items]) -> list[GroupedUsers]:
        """The users of a batch and of its further view; with fixed shapes in one pass."""
        if len(batches) > 1 and are_fixed(batches[0].history.device):
            asked = [self.asked(self.histories(batch), batch) for batch in batches]
            is_torn = any(isinstance(batch, TornBatch) for batch in batches)
            if not (is_torn or self.model.depends_on_padding) and may_join(*asked):
                return encode_together(self.model, asked, items, places=batches[0].place)
        return [
            self.encode(*one, is_view=number > 0) for number, one in enumerate(zip(batches, items, strict=True))
        ]

    def histories(self, batch: SequenceBatch) -> Histories:
        """The histories of a batch, for a network."""
        return Histories(batch.history, batch.length, batch.is_masked, batch.future, batch.times, batch.plans)

    def asked(self, histories: Histories, batch: SequenceBatch) -> Histories:
        """What the network sees: a cloze network is asked at a hidden place behind where the batch hides none."""
        return with_masked_place(histories) if self.model.example == "cloze" and batch.place is None else histories

    def logits(self, state: Tensor, rows: Histories, items: Items, candidates: Items) -> Tensor:
        """``[R, C]`` scores over temperature plus the auxiliary scorers, never in less than float32.

        Args:
            state: ``[R, D]`` user states.
            rows: what stands before each target.
            items: what ``rows`` refers to.
            candidates: the candidates.
        """
        temperature = self.loss.temperature if self.training else self.loss.eval_temperature
        with in_float32(self.device):
            logits = self.model.score(Users(state), candidates) / temperature
            return self.scorers.add(logits, rows, items, candidates)

    def _views(self, batch: SequenceBatch) -> tuple[SequenceBatch, list[SequenceBatch] | None]:
        """The batch that is encoded first, and the further views; None in a phase without views."""
        augmentation = self.loss.views
        if not self.views or augmentation is None:
            return batch, [] if self.views else None
        if needed := getattr(augmentation, "views", ()):
            assert batch.items is not None, "the data module attaches the item table"
            batch = batch.with_items(self.catalogue.with_views(batch.items, needed))
        first, second = augmentation(batch)
        return first, [second]

    def log_losses(self, batch: SequenceBatch, losses: dict[str, Tensor]) -> None:
        """Log the epoch means of per-row losses as ``train/<name>``."""
        means = self.epoch_means.add_step(
            {f"train/{name}": rows for name, rows in losses.items()}, len(batch.target)
        )
        self.epoch_means.log(self)
        self.log(
            "loss", means[list(losses).index("loss")], on_step=True, on_epoch=False, prog_bar=True, logger=False
        )

    def start_ranking(self) -> None:
        """Encode the catalogue."""
        whole = self.encode_catalogue()
        self._evaluated = (whole, whole.span(1))

    def finish_ranking(self) -> None:
        """Forget the encoded catalogue."""
        self._evaluated = None

    def score_blocks(self, batch: SequenceBatch) -> Iterator[tuple[SequenceBatch, Tensor]]:
        """Blocks of rows that fit into the cache (on CPU) or into ``max_logits``, with ``[b, N]`` logits."""
        if self._evaluated is None:
            raise RuntimeError("ranks() needs the encoded catalogue of an evaluation epoch")
        items, candidates = self._evaluated
        limit = min(self.max_logits, _CACHED_LOGITS) if self.device.type == "cpu" else self.max_logits
        step = max(1, limit // self.catalogue.num_items)
        histories = self.histories(batch)
        state = encode_users(
            self.model, self.asked(histories, batch), items, num_buckets=self.length_buckets
        ).state
        for start in range(0, len(batch), step):
            block = slice(start, start + step)
            rows = rows_of(batch, block)
            yield rows, self.logits(state[block], histories.cut(block), items, candidates).float()

    def encode_catalogue(self, catalogue: Catalogue | None = None) -> Items:
        """All items, encoded in chunks, by default those of the data module in use; row = global id."""
        with exact_float32(self.device):
            parts = list(self.encoded_chunks(catalogue))
        parts[1:] = [part.span(1) for part in parts[1:]]
        return type(parts[0])(
            torch.cat([part.vectors for part in parts]),
            torch.cat([part.ids for part in parts]),
            {name: torch.cat([part.extra[name] for part in parts]) for name in parts[0].extra},
            first=0,
            is_rising=True,
        )

    def encoded_chunks(self, catalogue: Catalogue | None = None) -> Iterator[Items]:
        """All items as they are encoded now, chunk by chunk; row 0 of each chunk is padding."""
        catalogue = catalogue or self.catalogue
        catalogue.to(self.device)
        for table in catalogue.chunks(EMBED_CHUNK, self.device):
            yield self.encode_items(table)
