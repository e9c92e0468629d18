"""What a user may set of a run's data, beside the choices of training batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from missrec_pl.data.domain.manifest import FeatureDtype
from missrec_pl.data.items.catalogue import Placement
from missrec_pl.data.samplers import DomainSampling
from missrec_pl.data.splits import EvalTarget, SplitKind


@dataclass(kw_only=True, eq=False, repr=False)
class DataSettings:
    """Domains, split, batches and where features live.

    Attributes:
        name: what the data is called in results.
        domains: names of the domains, where the source takes them from the config.
        by_phase: the domains of each phase, from which the config picks.
        modalities: the modalities to use; None takes all that any domain has, text and image first.
        batch_size: rows of a global training batch, over all processes.
        eval_batch_size: users of an evaluation batch of one process.
        max_history: longest history.
        split: ``"leave_one_out"``, ``"global_time"`` or ``"train_only"``; see :func:`make_split`.
        eval_target: ``"first"``, ``"last"``, ``"random"`` or ``"all"`` of a user's items after each cut of
            ``global_time``; see :func:`make_split`.
        refit: a last fit, which trains on the validation targets, too; see :func:`make_split`.
        domain_sampling, domain_temperature: see :class:`GlobalBatchSampler`.
        num_folds: cross-fitting folds of users that training batches never mix, drawn with the seed, where
            something is fitted by folds; 0 for none.
        placement: ``"device"``, ``"host"`` or ``"memmap"``; see :class:`Catalogue`.
        dtype: ``"float32"`` or ``"float16"``, how resident features are stored.
        whitening: power by which each domain's features are whitened, see :class:`Whitening`; 0: not at all.
        max_validation_users: validate on a fixed random sample of at most so many users; None on all.
        overfit_rows: learn at most so many rows by heart: train, validate and test on the same rows, one per
            user, no two with the same history. Each has its last item as the only target, whatever ``example`` is.
        num_workers: loader processes.
        prefetch_factor: batches that each loader process prepares ahead.
        seed: seed of shuffles and of the validation sample.
    """

    name: str | None = "data"
    domains: Sequence[str] | None = None
    by_phase: Mapping[str, Any] | None = None
    modalities: Sequence[str] | None = None
    batch_size: int = 512
    eval_batch_size: int = 1024
    max_history: int = 50
    split: SplitKind = "leave_one_out"
    eval_target: EvalTarget = "first"
    refit: bool = False
    domain_sampling: DomainSampling = "proportional"
    domain_temperature: float = 2.0
    num_folds: int = 10
    placement: Placement = "device"
    dtype: FeatureDtype = "float32"
    whitening: float = 0.0
    max_validation_users: int | None = None
    overfit_rows: int | None = None
    num_workers: int = 0
    prefetch_factor: int = 2
    seed: int = 0
