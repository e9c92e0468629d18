"""The LightningDataModule: streams the sequences and frozen features of one or several domains."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from missrec_pl.data.batch import EvaluationHistories, GlobalSequences, SequenceBatch, TrainingPrefixes
from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.items.table import ItemTable
from missrec_pl.data.sampled_prefixes import SampledPrefixes
from missrec_pl.data.samplers import (
    CANDIDATES,
    GlobalBatchSampler,
    ResumedSampler,
    ShardedEvalSampler,
    SharedBatchSampler,
)
from missrec_pl.data.sources import DomainSource
from missrec_pl.data.splits import EvaluationRows, make_split
from missrec_pl.errors import ConfigError, DataError
from missrec_pl.fitting.whitening import DomainWhitening

log = logging.getLogger(__name__)

_FIRST_MODALITIES = ("text", "image")  # the paper's order; further modalities follow by name


class DomainDataModule(L.LightningDataModule):
    """Sequences and features of one or several domains under global item ids.

    Args:
        sources: where the domains come from; :meth:`prepare_data` converts or generates them once.
        modalities: the modalities to use; None takes all that any domain has, text and image first.
        candidates: ``"all"`` trains against the whole catalogue, ``"in_batch"`` against the batch's targets,
            ``"sampled"`` against these and random items, corrected so as to stand for the whole catalogue.
        num_negatives: random items of a global batch (``candidates="sampled"``); see :class:`CandidateDraw`.
        batch_size: rows of a global training batch, over all processes.
        eval_batch_size: users of an evaluation batch of one process.
        max_history: longest history.
        split: ``"leave_one_out"``, ``"global_time"`` or ``"train_only"``; see :func:`make_split`.
        domain_sampling: see :class:`GlobalBatchSampler`.
        domain_temperature: see :class:`GlobalBatchSampler`.
        user_folds: folds of users that training batches never mix, drawn with the seed; None for no folds.
        residency: ``"device"``, ``"host"`` or ``"memmap"``; see :class:`Catalogue`.
        dtype: ``"float32"`` or ``"float16"``, how resident features are stored.
        whitening: power by which each domain's features are whitened, see :class:`Whitening`; 0: not at all.
        max_validation_users: validate on a fixed random sample of at most so many users; None on all.
        overfit_rows: learn at most so many rows by heart: train, validate and test on the same rows, one per
            user, no two with the same history.
        num_workers: loader processes.
        prefetch_factor: batches that each loader process prepares ahead.
        seed: seed of shuffles and of the validation sample.
    """

    def __init__(
        self,
        sources: Sequence[DomainSource],
        *,
        modalities: Sequence[str] | None = None,
        candidates: str = "all",
        num_negatives: int = 8192,
        batch_size: int = 512,
        eval_batch_size: int = 1024,
        max_history: int = 50,
        split: str = "leave_one_out",
        domain_sampling: str = "proportional",
        domain_temperature: float = 2.0,
        user_folds: int | None = None,
        residency: str = "device",
        dtype: str = "float32",
        whitening: float = 0.0,
        max_validation_users: int | None = None,
        overfit_rows: int | None = None,
        num_workers: int = 0,
        prefetch_factor: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if candidates not in CANDIDATES:
            raise ConfigError(f"data.candidates={candidates!r}: choose one of {', '.join(CANDIDATES)}.")
        self.sources = list(sources)
        self.modalities = None if modalities is None else list(modalities)
        self.candidates = candidates
        self.num_negatives = num_negatives
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.max_history = max_history
        self.split = split
        self.domain_sampling = domain_sampling
        self.domain_temperature = domain_temperature
        self.user_folds = user_folds
        self.residency = residency
        self.dtype = dtype
        self.whitening = whitening
        self.max_validation_users = max_validation_users
        self.overfit_rows = overfit_rows
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.seed = seed
        self._catalogue: Catalogue | None = None
        self._whole: ItemTable | None = None

    @property
    def catalogue(self) -> Catalogue:
        """The items of all domains; there after :meth:`setup`."""
        if self._catalogue is None:
            raise RuntimeError("the data module has no catalogue before setup()")
        return self._catalogue

    @property
    def fold_of_user(self) -> NDArray[np.int64] | None:
        """``[U]`` the fold of each user, folds nearly equal in users; None for no folds. After :meth:`setup`."""
        if self.user_folds is None:
            return None
        users = len(self.sequences.train_length)
        return np.random.default_rng([self.seed, users]).permutation(users) % self.user_folds

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
        modalities = _all_modalities(domains) if self.modalities is None else self.modalities
        self._catalogue = Catalogue(
            domains,
            modalities,
            residency=self.residency,
            dtype=self.dtype,
            transform=DomainWhitening(self.whitening) if self.whitening else None,
        )
        splits = [make_split(domain.sequences, self.split) for domain in domains]
        self.sequences = GlobalSequences(self._catalogue, splits)
        for domain in domains:
            domain.forget_sequences()
        if self.overfit_rows is not None:
            self.sequences.validation = self.sequences.test = self._rows_to_overfit(self.overfit_rows)
        self.validation_rows = self._sample_validation(self.sequences.validation)
        if self.split != "train_only" and len(self.sequences.test) == 0:
            raise DataError(
                f"the test split of {[domain.name for domain in domains]} is empty under "
                f"data.split={self.split}: every user has a single item or none after the cut."
            )

    def train_dataloader(self) -> DataLoader[SequenceBatch]:
        """Global batches of training prefixes, this process's share of them."""
        if self.overfit_rows is not None:
            histories, sampler = self._evaluation_batches(self.sequences.test)
            return self._loader(histories, self._resumed(sampler))
        prefixes = TrainingPrefixes(
            self.sequences,
            self.catalogue,
            self.max_history,
            deduplicate=self.candidates != "all",
            fold_of_user=self.fold_of_user,
        )
        rank, world_size = self._shard()
        sampler = GlobalBatchSampler(
            prefixes.samples_per_domain(),
            self.batch_size,
            domain_sampling=self.domain_sampling,
            temperature=self.domain_temperature,
            folds=prefixes.folds(),
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        if self.candidates == "sampled":
            shared = SharedBatchSampler(sampler)
            return self._loader(SampledPrefixes(prefixes, self.num_negatives), self._resumed(shared))
        return self._loader(prefixes, self._resumed(sampler))

    def val_dataloader(self) -> DataLoader[SequenceBatch] | list[DataLoader[SequenceBatch]]:
        """Validation users, unpadded shards; no loader where the split validates nobody."""
        return self._evaluation(self.validation_rows) if len(self.validation_rows) else []

    def test_dataloader(self) -> DataLoader[SequenceBatch]:
        """Test users, unpadded shards."""
        return self._evaluation(self.sequences.test)

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

    def _evaluation(self, rows: EvaluationRows) -> DataLoader[SequenceBatch]:
        return self._loader(*self._evaluation_batches(rows))

    def _evaluation_batches(self, rows: EvaluationRows) -> tuple[EvaluationHistories, Sampler[NDArray[np.int64]]]:
        histories = EvaluationHistories(self.sequences, rows, self.max_history)
        rank, world_size = self._shard()
        sampler = ShardedEvalSampler(histories.lengths(), self.eval_batch_size, rank=rank, world_size=world_size)
        return histories, sampler

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

    def _shard(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _check_sampling(self, num_domains: int) -> None:
        if self.candidates == "sampled" and self.domain_sampling != "proportional" and num_domains > 1:
            raise ConfigError(
                f"data.candidates=sampled: over {num_domains} domains it needs data.domain_sampling=proportional, "
                f"got {self.domain_sampling}: change it, or use data.candidates=all."
            )

    def _rows_to_overfit(self, count: int) -> EvaluationRows:
        """The longest training prefix of each of the first users whose histories differ from one another."""
        users = np.flatnonzero(self.sequences.train_length >= 2)
        target = self.sequences.train_length[users] - 1
        history, _, _ = self.sequences.windows(users, target, self.max_history)
        chosen = np.sort(np.unique(history, axis=0, return_index=True)[1])[:count]
        return EvaluationRows(users[chosen], target[chosen])

    def _sample_validation(self, rows: EvaluationRows) -> EvaluationRows:
        if self.max_validation_users is None or len(rows) <= self.max_validation_users:
            return rows
        log.info("validating on %d of %d users", self.max_validation_users, len(rows))
        random = np.random.default_rng(self.seed)
        chosen = np.sort(random.choice(len(rows), self.max_validation_users, replace=False))
        return EvaluationRows(rows.user[chosen], rows.target[chosen])


def _all_modalities(domains: Sequence[Domain]) -> list[str]:
    known = {name for domain in domains for name in domain.modalities}
    first = [name for name in _FIRST_MODALITIES if name in known]
    return first + sorted(known.difference(first))
