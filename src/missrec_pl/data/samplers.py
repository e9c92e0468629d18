"""Which samples make a batch: the same global batches whatever the number of processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from missrec_pl.data.sequences import Ints
from missrec_pl.errors import ConfigError

DomainSampling = Literal["proportional", "temperature", "single_domain_batches"]
DOMAIN_SAMPLINGS: tuple[str, ...] = get_args(DomainSampling)


@dataclass(frozen=True)
class SharedBatch:
    """A global batch as one process sees it: its own rows, and what all processes draw alike.

    Attributes:
        everyones: the samples of all processes, in the order of one process.
        own: which of them are this process's.
        stream: seed of what all processes draw for this batch: (seed, epoch, batch).
    """

    everyones: Ints
    own: slice
    stream: tuple[int, int, int]


@dataclass(eq=False, repr=False)
class GlobalBatchSampler(Sampler[SharedBatch]):
    """Shuffled training batches.

    An epoch's samples are cut into global batches of nearly equal size (none of them a small remainder); of
    each, process ``rank`` takes every ``world_size``-th row. So 1, 2 or 3 processes see the same global batches.
    With ``lengths``, samples of like length share a batch, so that little is padded, and batches are nearly equal
    in places instead of rows: every target weighs alike, however long its row is.

    Attributes:
        samples_per_domain: number of samples of each domain; samples are numbered domain by domain.
        batch_size: rows of a global batch, at most.
        domain_sampling: ``"proportional"`` shuffles all samples together; ``"temperature"`` draws from domain
            ``d`` in proportion to ``n_d^(1/temperature)``, small domains repeating and large ones truncated;
            ``"single_domain_batches"`` never mixes domains in a batch.
        temperature: see above; 1 is proportional.
        folds: ``[S]`` the fold of each sample, numbered from 0; a batch never mixes folds. None for no folds.
        lengths: ``[S]`` places of each sample; ``batch_size`` is the mean of a batch's rows then. None: any
            lengths share a batch.
        seed: seed of the shuffles; epoch ``e`` has its own.
        rank: this process.
        world_size: number of processes.

    Raises:
        ConfigError: unknown ``domain_sampling``, one that goes with no folds, or fewer rows in a batch than
            processes.
    """

    samples_per_domain: Ints
    batch_size: int
    _: KW_ONLY
    domain_sampling: DomainSampling = "proportional"
    temperature: float = 2.0
    folds: Ints | None = None
    lengths: Ints | None = None
    seed: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.domain_sampling not in DOMAIN_SAMPLINGS:
            raise ConfigError(
                f"data.domain_sampling={self.domain_sampling!r}: choose one of {', '.join(DOMAIN_SAMPLINGS)}."
            )
        if self.folds is not None and self.domain_sampling != "proportional" and len(self.samples_per_domain) > 1:
            raise ConfigError(
                f"data.domain_sampling={self.domain_sampling}: batches of one cross-fitting fold need "
                "proportional; change it, or choose a model that fits nothing by folds."
            )
        self.epoch = 0
        self._groups = self._unmixed()
        whole = [int(self.samples_per_domain.sum())]
        self._sizes = whole if self._groups is None else [len(group) for group in self._groups]
        smallest = min(self._fewest_rows(n) for n in self._sizes)
        if smallest < self.world_size:
            raise ConfigError(
                f"a global batch has only {smallest} rows for {self.world_size} processes: raise data.batch_size "
                "or lower trainer.devices."
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's shuffle; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(_num_batches(n, self.batch_size) for n in self._sizes)

    def __iter__(self) -> Iterator[SharedBatch]:
        own = slice(self.rank, None, self.world_size)
        for number, batch in enumerate(self.global_batches()):
            yield SharedBatch(batch.astype(np.int64, copy=False), own, (self.seed, self.epoch, number))

    def _unmixed(self) -> list[NDArray[Any]] | None:
        """The samples that share batches with no others, group by group; None where all are shuffled together."""
        if self.folds is not None:
            order = np.argsort(self.folds, kind="stable").astype(_index_type(len(self.folds)))
            groups = np.split(order, np.cumsum(np.bincount(self.folds))[:-1])
        elif self.domain_sampling == "single_domain_batches":
            total = int(self.samples_per_domain.sum())
            groups = np.split(np.arange(total, dtype=_index_type(total)), np.cumsum(self.samples_per_domain)[:-1])
        else:
            return None
        return [samples for samples in groups if len(samples)]

    def global_batches(self) -> list[Ints]:
        """The epoch's samples, batch by batch, for all processes together."""
        random = np.random.default_rng([self.seed, self.epoch])
        starts = np.concatenate([[0], np.cumsum(self.samples_per_domain)])
        if self._groups is not None:
            batches: list[Ints] = []
            for group in self._groups:
                shuffled = group[random.permutation(len(group))]
                batches += self._cut(shuffled)
            return [batches[i] for i in random.permutation(len(batches))]
        if self.domain_sampling == "temperature":
            quotas = zip(starts[:-1], self.samples_per_domain, self._quotas(), strict=True)
            drawn = [start + _draw(random, n, quota) for start, n, quota in quotas]
            samples = random.permutation(np.concatenate(drawn))
        else:
            total = int(starts[-1])
            samples = np.arange(total, dtype=_index_type(total))
            random.shuffle(samples)  # random.permutation(total), in half the memory where numbers are small enough
        batches = self._cut(samples)
        return batches if self.lengths is None else [batches[i] for i in random.permutation(len(batches))]

    def _cut(self, samples: Ints) -> list[Ints]:
        """Shuffled samples as batches; those of like length together, where lengths are given."""
        number = _num_batches(len(samples), self.batch_size)
        if self.lengths is None:
            return np.array_split(samples, number)
        samples = samples[np.argsort(self.lengths[samples], kind="stable")]
        places = np.cumsum(self.lengths[samples], dtype=np.int64)
        inner = np.arange(1, number)
        bounds = np.searchsorted(places, places[-1] * inner / number)
        fewest = self._fewest_rows(len(samples))  # of long rows few fill a batch, but processes share them
        spare = np.maximum.accumulate(np.maximum(bounds - fewest * inner, 0))
        return np.split(samples, np.minimum(spare, len(samples) - fewest * number) + fewest * inner)

    def _fewest_rows(self, num_samples: int) -> int:
        """Rows of the smallest batch."""
        mean = num_samples // _num_batches(num_samples, self.batch_size)
        return mean if self.lengths is None else min(mean, max(mean // 8, 8))

    def _quotas(self) -> Ints:
        """Samples per domain and epoch under temperature sampling; they add up to the number of samples."""
        weights = self.samples_per_domain.astype(np.float64) ** (1 / self.temperature)
        weights[self.samples_per_domain == 0] = 0
        bounds = np.round(np.cumsum(weights) / weights.sum() * self.samples_per_domain.sum())
        return np.diff(np.concatenate([[0], bounds])).astype(np.int64)


@dataclass(eq=False, repr=False)
class ResumedSampler(Sampler[Any]):
    """Another sampler without the batches that were trained on before an interruption.

    Its length stays: Lightning counts the batches of the whole epoch.

    Attributes:
        sampler: the batches of whole epochs.
        epoch: the epoch that was interrupted.
        done: number of its batches to leave out.
    """

    sampler: Sampler[Any]
    epoch: int
    done: int

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's shuffle; Lightning calls this."""
        if epoch != self.epoch:
            self.done = 0
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return itertools.islice(self.sampler, self.done, None)


class ShardedEvalSampler(Sampler[Ints]):
    """Evaluation batches in order of history length; process ``rank`` takes every ``world_size``-th user.

    Nobody is repeated to even the shards out.

    Args:
        lengths: history length of each user.
        batch_size: users of one process's batch, at most.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(self, lengths: Ints, batch_size: int, *, rank: int = 0, world_size: int = 1) -> None:
        self.users = np.argsort(lengths, kind="stable")[rank::world_size]
        self.batch_size = batch_size

    def __len__(self) -> int:
        return _num_batches(len(self.users), self.batch_size)

    def __iter__(self) -> Iterator[Ints]:
        for start in range(0, len(self.users), self.batch_size):
            yield self.users[start : start + self.batch_size]


def _num_batches(num_samples: int, batch_size: int) -> int:
    return -(-num_samples // batch_size)


def _index_type(n: int) -> type[np.signedinteger[Any]]:
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


def _draw(random: np.random.Generator, n: int, quota: int) -> Ints:
    """``quota`` of ``n`` samples, each repeated before any comes a second time more than another."""
    rounds = [random.permutation(n) for _ in range(_num_batches(quota, max(n, 1)))]
    return np.concatenate([np.empty(0, np.int64), *rounds])[:quota]
