"""What does not go with ``model.compat=true``: one switch for the released code's behaviour, all of it or none."""

from __future__ import annotations

from omegaconf import DictConfig, ListConfig

from missrec_pl.config.resolvers import register_resolvers
from missrec_pl.config.values import value_of

register_resolvers()  # the values that are checked here depend on it

# What the switch stands for beside the network.
RELEASED = {
    "model.history_bias": "none",
    "objective.orthogonality_form": "released",
    "objective.orthogonality_of_both_views": True,
    "objective.seq_seq_form": "released",
    "objective.mask_duplicates": False,
    "objective.padding_candidate": True,
}
# What the release has nothing of; off in either case unless a preset turns it on.
_ABSENT = ("model.cooccurrence", "model.content", "model.collaborative")


def compat_mistakes(cfg: DictConfig) -> list[str]:
    """One line for each flag that contradicts ``model.compat``, or that nothing but it makes sense of."""
    if value_of(cfg, "model.compat") is not True:
        if value_of(cfg, "objective.orthogonality_form") == "released":
            return ["objective.orthogonality_form=released: goes with model.compat=true only; choose another."]
        return []
    return [*_halves(cfg), *_batches(cfg), *_modalities(cfg)]


def _halves(cfg: DictConfig) -> list[str]:
    advice = "leave the flag out, and use objective=missrec_released"
    found = [
        f"{flag}={value}: model.compat=true means {str(wanted).lower()}; {advice}."
        for flag, wanted in RELEASED.items()
        if (value := value_of(cfg, flag)) != wanted
    ]
    found += [
        f"{flag}={value}: the released network has none; {advice}."
        for flag in _ABSENT
        if (value := value_of(cfg, flag)) not in (None, "none", 0)
    ]
    if cfg.phase.name == "pretrain" and value_of(cfg, "objective.augmentation") is None:
        found.append(f"objective.augmentation=null: model.compat=true regularises a second view; {advice}.")
    return found


def _batches(cfg: DictConfig) -> list[str]:
    found = []
    if value_of(cfg, "phase.module.length_buckets") not in (None, 1):
        found.append(
            f"phase.module.length_buckets={cfg.phase.module.length_buckets}: under model.compat=true the padding "
            "of a batch counts; leave the flag out."
        )
    candidates = value_of(cfg, "data.candidates")
    if cfg.phase.name == "finetune" and candidates in ("in_batch", "sampled"):
        found.append(
            f"data.candidates={candidates}: model.compat=true fine-tunes against the whole catalogue; use "
            "data.candidates=all."
        )
    return found


def _modalities(cfg: DictConfig) -> list[str]:
    modalities, number = value_of(cfg, "data.modalities"), value_of(cfg, "interest.method.num_modalities")
    if not isinstance(modalities, ListConfig) or number is None or number == len(modalities):
        return []
    return [f"interest.method.num_modalities={number}: data.modalities has {len(modalities)}; give that number."]
