"""Single values of a config: what each flag may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from missrec_pl.data.items.catalogue import DTYPES, PLACEMENTS
from missrec_pl.system.precision import MATMUL_PRECISIONS

# What no signature says: `targets` checks an argument that is a `Literal` at its own place.
CHOICES = {
    "phase.name": ("pretrain", "finetune", "baselines"),
    "setting.name": ("inductive", "transductive"),
    "matmul_precision": MATMUL_PRECISIONS,
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed", "64-true"),
    "features.placement": PLACEMENTS,
    "features.dtype": tuple(DTYPES),
}


@dataclass(frozen=True)
class _Range:
    """Numbers that a flag takes; ``low`` and ``high`` belong to the range unless it is ``open`` there."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    whole: bool = False
    optional: bool = False

    def holds(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        if not math.isfinite(value):
            return False
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        low = f"above {_plain(self.low)}" if self.open_low else f"from {_plain(self.low)}"
        high = "" if self.high == math.inf else f" {'below' if self.open_high else 'up to'} {_plain(self.high)}"
        return f"{kind} {low}{high}" + (" or null" if self.optional else "")


def _plain(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


COUNT, _POSITIVE, _WEIGHT = _Range(1, whole=True), _Range(0, open_low=True), _Range(0)
_PROBABILITY = _Range(0, 1, open_high=True)
RANGES = {
    "seed": _Range(0, 2**32 - 1, whole=True),
    "baselines.max_ease_items": COUNT,
    "recommend.k": _Range(1, whole=True, optional=True),
    "data.batch_size": COUNT,
    "data.eval_batch_size": COUNT,
    "data.max_history": COUNT,
    "data.max_validation_users": _Range(1, whole=True, optional=True),
    "data.overfit_rows": _Range(1, whole=True, optional=True),
    "data.num_negatives": _Range(1, whole=True, optional=True),
    "data.num_workers": _Range(0, whole=True),
    "data.prefetch_factor": COUNT,
    "data.domain_temperature": _POSITIVE,
    "data.num_folds": _Range(0, whole=True),
    "interest.every_n_epochs": COUNT,
    "model.hidden_size": COUNT,
    "model.num_heads": COUNT,
    "model.inner_size": COUNT,
    "model.num_layers": COUNT,
    "model.num_encoder_layers": COUNT,
    "model.num_decoder_layers": COUNT,
    "model.embedding_size": COUNT,
    "model.num_clusters": COUNT,
    "model.num_experts": COUNT,
    "model.code_dim": COUNT,
    "model.sinkhorn_rounds": COUNT,
    "model.code_cap": _Range(2, whole=True),
    "model.adapter_dropout": _PROBABILITY,
    "features.whitening": _Range(0, 1),
    "model.dropout": _PROBABILITY,
    "data.mask_probability": _Range(0, 1, open_low=True),
    "data.last_share": _Range(0, 1),
    "objective.t": _Range(0, 1),
    "objective.fake_share": _Range(0, 1),
    "objective.temperature": _POSITIVE,
    "objective.eval_temperature": _Range(0, open_low=True, optional=True),
    "objective.orthogonality_weight": _WEIGHT,
    "objective.seq_seq_weight": _WEIGHT,
    "objective.augmentation.probability": _PROBABILITY,
    "optim.scheduler.warmup": _Range(0, 1, open_high=True),
    "optim.optimizer.lr": _POSITIVE,
    "optim.optimizer.weight_decay": _WEIGHT,
    "optim.scorer_lr": _POSITIVE,
}


def value_of(cfg: DictConfig, flag: str) -> Any:
    """The value of a flag; None where this config has no such flag or its value is not known yet."""
    try:
        return OmegaConf.select(cfg, flag)
    except (OmegaConfBaseException, ValueError):
        return None


def choice_mistakes(cfg: DictConfig) -> list[str]:
    """One line for each flag that is none of its choices."""
    return [
        f"{flag}={value}: choose one of {', '.join(known)}."
        for flag, known in CHOICES.items()
        if (value := value_of(cfg, flag)) is not None and value not in known
    ]


def range_mistakes(cfg: DictConfig) -> list[str]:
    """One line for each number that is out of its range, or no number."""
    found = []
    for flag, allowed in RANGES.items():
        parent, _, key = flag.rpartition(".")
        holder = value_of(cfg, parent) if parent else cfg
        if not isinstance(holder, DictConfig) or key not in holder or OmegaConf.is_interpolation(holder, key):
            continue
        if not OmegaConf.is_missing(holder, key) and not allowed.holds(value := holder[key]):
            found.append(f"{flag}={value}: must be {allowed}.")
    for flag in ("interest.num_prototypes", "interest.method.k"):
        value = value_of(cfg, flag)
        if value is not None and not (COUNT.holds(value) or (isinstance(value, float) and 0 < value <= 1)):
            found.append(f"{flag}={value}: must be a whole number from 1, or a share above 0 up to 1.0.")
    if value_of(cfg, "data.num_folds") == 1:
        found.append("data.num_folds=1: must be a whole number from 2, or 0 for none.")
    ks = value_of(cfg, "metrics.ks")
    if ks is not None and (not ks or len(set(ks)) < len(ks) or not all(COUNT.holds(k) for k in ks)):
        found.append(f"metrics.ks={ks}: must be distinct whole numbers from 1, e.g. metrics.ks=[10,50].")
    return found
