"""What does not go with ``model.compat=true``: one switch for the released code's behaviour, all of it or none."""

from __future__ import annotations

from omegaconf import DictConfig

from missrec_pl.config.values import value_of

# What the switch stands for beside the network.
RELEASED = {
    "objective.orthogonality_form": "released",
    "objective.orthogonality_of_both_views": True,
    "objective.seq_seq_form": "released",
    "objective.mask_duplicates": False,
    "objective.padding_candidate": True,
}


def compat_mistakes(cfg: DictConfig) -> list[str]:
    """One line for each flag that contradicts ``model.compat``, or that nothing but it makes sense of."""
    if value_of(cfg, "model.compat") is not True:
        if value_of(cfg, "objective.orthogonality_form") == "released":
            return ["objective.orthogonality_form=released: goes with model.compat=true only; choose another."]
        return []
    return [*_halves(cfg), *_batches(cfg)]


def _halves(cfg: DictConfig) -> list[str]:
    advice = "use model=missrec_compat, and leave the flag out"
    found = [
        f"{flag}={value}: model.compat=true means {str(wanted).lower()}; {advice}."
        for flag, wanted in RELEASED.items()
        if (value := value_of(cfg, flag)) != wanted
    ]
    if present := [name for name, node in (cfg.get("scorers") or {}).items() if node is not None]:
        found.append(f"scorers: the released network has no {', '.join(present)}; use model=missrec_compat.")
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
