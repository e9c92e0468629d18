"""The LightningDataModule: streams the sequences and frozen features of one or several domains."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import CandidateKind
from missrec_pl.data.datasets import EvaluationHistories
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.examples import Example
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.items.table import ItemTable
from missrec_pl.data.plans import Planner
from missrec_pl.data.samplers import GlobalBatchSampler, ResumedSampler, ShardedEvalSampler
from missrec_pl.data.sequences import Ints
from missrec_pl.data.sources import DomainSource
from missrec_pl.data.splits import EvaluationRows, make_split
from missrec_pl.data.training_choices import TrainingChoices
from missrec_pl.datamodules.settings import DataSettings
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.fitting.whitening import DomainWhitening
from missrec_pl.nn.contract import DataShape

log = logging.getLogger(__name__)

_FIRST_MODALITIES = ("text", "image")  # the paper's order; further modalities follow by name


@dataclass(eq=False, repr=False)
class DomainDataModule(TrainingChoices, DataSettings, L.LightningDataModule):
    """Sequences and features of one or several domains under global item ids.

    The other arguments are the attributes of :class:`DataSettings` and of :class:`TrainingChoices`, of which
    :meth:`choose` may say what is open.

    Attributes:
        source: where the domains come from, one source or several; :meth:`prepare_data` converts or generates
            them.
    """

    source: DomainSource | Sequence[DomainSource]

    def __post_init__(self) -> None:
        L.LightningDataModule.__init__(self)
        super().__post_init__()
        self.sources = list(self.source) if isinstance(self.source, Sequence) else [self.source]
        self._with_folds = False
        self.planners: Sequence[Planner] = ()
        self._catalogue: Catalogue | None = None
        self._whole: ItemTable | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The items of all domains; there after :meth:`setup`."""
        if self._catalogue is None:
            raise RuntimeError("the data module has no catalogue before setup()")
        return self._catalogue

    @property
    def shape(self) -> DataShape:
        """Sizes of the data, for networks; there after :meth:`setup`."""
        catalogue = self.catalogue
        present = (~catalogue.is_missing).sum(0).tolist()
        return DataShape(
            num_items=catalogue.num_items,
            feature_dims=dict(catalogue.feature_dims),
            num_present=dict(zip(catalogue.modalities, present, strict=True)),
            attributes=catalogue.num_attribute_values,
            max_history=self.max_history,
            num_folds=self.num_folds,
        )

    @property
    def fold_of_user(self) -> Ints | None:
        """``[U]`` the fold of each user, folds nearly equal in users; None for no folds. After :meth:`setup`."""
        if not (self._with_folds and self.num_folds):
            return None
        users = len(self.sequences.train_length)
        return np.random.default_rng([self.seed, users]).permutation(users) % self.num_folds

    def choose(
        self,
        *,
        candidates: CandidateKind | None = None,
        num_negatives: int | None = None,
        example: Example | None = None,
        with_times: bool = False,
        with_folds: bool = False,
    ) -> None:
        """Say what the constructor left open, before :meth:`train_dataloader`; what it said stays.

        Args:
            candidates: what the loss declares.
            num_negatives: likewise.
            example: what the network declares.
            with_times: whether the network reads times; evaluation batches have them too.
            with_folds: whether something is fitted by cross-fitting folds, which training batches must not mix.

        Raises:
            ConfigError: an unknown choice, or candidates that do not go with the sampling of domains.
            DataError: a domain has no timestamps.
        """
        self.fill(TrainingChoices(candidates=candidates, num_negatives=num_negatives, example=example))
        self.with_times = self.with_times or with_times
        self._with_folds = self._with_folds or with_folds
        if self._catalogue is not None:
            self._check_sampling(len(self._catalogue.domains))
            if self.with_times:
                self.sequences.read_times(self._catalogue)

    def prepare_data(self) -> None:
        """Convert or generate what is not there yet; safe to call from several processes."""
        for source in self.sources:
            source.prepare()

    def setup(self, stage: str | None = None) -> None:
        """Open the domains and compute the splits (once; no process writes anything)."""
        if self._catalogue is not None:
            return
        domains = [Domain.open(path) for source in self.sources for path in source.paths()]
        self._check_sampling(len(domains))
        known = {name for domain in domains for name in domain.modalities}
        first = [name for name in _FIRST_MODALITIES if name in known]
        modalities = [*first, *sorted(known.difference(first))] if self.modalities is None else self.modalities
        self._catalogue = Catalogue(
            domains,
            modalities,
            placement=self.placement,
            dtype=self.dtype,
            transform=DomainWhitening(self.whitening) if self.whitening else None,
        )
        self.sequences = self.split_sequences(refit=self.refit)
        if self.with_times:
            self.sequences.read_times(self._catalogue)
        if self.overfit_rows is not None:
            self.sequences.validation = self.sequences.test = self._rows_to_overfit(self.overfit_rows)
        self.validation_rows = self._sample_validation(self.sequences.validation)
        if self.split != "train_only" and len(self.sequences.test) == 0:
            raise DataError(
                f"the test split of {[domain.name for domain in domains]} is empty under "
                f"data.split={self.split}: every user has a single item or none after the cut."
            )

    def split_sequences(self, *, refit: bool) -> GlobalSequences:
        """The sequences of all domains, split as the settings say, for a last fit or to choose by."""
        domains = self.catalogue.domains
        splits = [
            make_split(domain.sequences, self.split, eval_target=self.eval_target, refit=refit)
            for domain in domains
        ]
        sequences = GlobalSequences(self.catalogue, splits)
        for domain in domains:
            domain.forget_sequences()
        return sequences

    def train_dataloader(self) -> DataLoader[SequenceBatch]:
        """Global batches of training rows, this process's share of them."""
        if self.overfit_rows is not None:
            return self._evaluation(self.sequences.test, is_training=True)
        batches = self.batches(self.sequences, self.catalogue, self.max_history, self.fold_of_user)
        batches.planners = self.planners
        sampler = GlobalBatchSampler(
            batches.examples.samples_per_domain(),
            self.batch_size,
            domain_sampling=self.domain_sampling,
            temperature=self.domain_temperature,
            folds=batches.examples.folds(),
            lengths=batches.examples.lengths(),
            seed=self.seed,
            **self._shard(),
        )
        return self._loader(batches, self._resumed(sampler))

    def val_dataloader(self) -> DataLoader[SequenceBatch] | list[DataLoader[SequenceBatch]]:
        """Validation users, unpadded shards; no loader where the split validates nobody."""
        return self._evaluation(self.validation_rows) if len(self.validation_rows) else []

    def test_dataloader(self) -> DataLoader[SequenceBatch]:
        """Test users, unpadded shards."""
        return self._evaluation(self.sequences.test)

    def predict_dataloader(self) -> DataLoader[SequenceBatch]:
        """All users with their whole sequences as histories, unpadded shards."""
        return self._evaluation(self.sequences.everybody())

    def transfer_batch_to_device(
        self, batch: SequenceBatch, device: torch.device, dataloader_idx: int
    ) -> SequenceBatch:
        """Copy a batch while the device computes; Lightning does so for plain tensors alone."""
        return batch.to(device, non_blocking=device.type == "cuda")

    def on_after_batch_transfer(self, batch: SequenceBatch, dataloader_idx: int) -> SequenceBatch:
        """Give a training batch its features from where they reside; evaluation embeds all items itself."""
        if self.trainer is None or not self.trainer.training:
            return batch
        device = batch.history.device
        self.catalogue.to(device)
        if batch.items is None:
            if self._whole is None or self._whole.ids.device != device:
                self._whole = self.catalogue.whole(device)
            return batch.with_items(self._whole)
        return batch if batch.items.features else batch.with_items(self.catalogue.fill(batch.items))

    def _resumed(self, sampler: Sampler[Any]) -> Sampler[Any]:
        """The batches that a resumed run has still to train on."""
        if self.trainer is None:
            return sampler
        loop = self.trainer.fit_loop
        epoch = loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        done = loop.epoch_loop.batch_progress.current.ready if loop.restarting else 0
        resumed = ResumedSampler(sampler, epoch, done)
        # Loader workers start before Lightning sets the epoch: a resumed run would replay epoch 0's shuffle.
        resumed.set_epoch(epoch)
        return resumed

    def _evaluation(self, rows: EvaluationRows, *, is_training: bool = False) -> DataLoader[SequenceBatch]:
        if len(rows) < (processes := self._shard()["world_size"]):  # one would wait for what another never does
            raise ConfigError(
                f"there are {len(rows)} users to evaluate for {processes} processes: lower trainer.devices."
            )
        histories = EvaluationHistories(self.sequences, rows, self.max_history)
        sampler = ShardedEvalSampler(histories.lengths(), self.eval_batch_size, **self._shard())
        return self._loader(histories, self._resumed(sampler) if is_training else sampler)

    def _loader(self, dataset: Dataset[SequenceBatch], sampler: Sampler[Any]) -> DataLoader[SequenceBatch]:
        # The sampler yields whole batches and the data set builds each in one go: no per-row collation.
        return DataLoader(
            dataset,
            sampler=sampler,
            batch_size=None,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            prefetch_factor=self.prefetch_factor if self.num_workers else None,
            pin_memory=torch.cuda.is_available(),
        )

    def _shard(self) -> dict[str, int]:
        if self.trainer is None:
            return {"rank": 0, "world_size": 1}
        return {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size}

    def _check_sampling(self, num_domains: int) -> None:
        if self.candidates == "sampled" and self.domain_sampling != "proportional" and num_domains > 1:
            raise ConfigError(
                f"data.candidates=sampled: over {num_domains} domains it needs data.domain_sampling=proportional, "
                f"got {self.domain_sampling}: change it, or use data.candidates=all."
            )

    def _rows_to_overfit(self, count: int) -> EvaluationRows:
        """The longest training prefix of each of the first users whose histories differ from one another."""
        users = np.flatnonzero(self.sequences.train_length >= 2)
        rows = EvaluationRows(users, self.sequences.train_length[users] - 1)
        history, _, _ = self.sequences.windows(rows.user, rows.target, self.max_history)
        return rows.take(np.sort(np.unique(history, axis=0, return_index=True)[1])[:count])

    def _sample_validation(self, rows: EvaluationRows) -> EvaluationRows:
        if self.max_validation_users is None or len(rows) <= self.max_validation_users:
            return rows
        log.info("validating on %d of %d users", self.max_validation_users, len(rows))
        random = np.random.default_rng(self.seed)
        return rows.take(np.sort(random.choice(len(rows), self.max_validation_users, replace=False)))
