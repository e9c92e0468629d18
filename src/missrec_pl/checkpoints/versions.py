"""What earlier versions called things: tensors, class paths, options of stored configs, flags of the command line.

Everything here keeps working for one version; `docs/migration.md` has the tables.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

TENSORS = {
    "model.adapters.": "model.item_adapters.",
    "model.interests.": "model.fitted.interests.",
    "model.collaborative.": "model.fitted.collaborative.",
    "model.history_bias.": "scorers.seen.",
    "model.cooccurrence.": "scorers.cooccurrence.",
    "model.content.": "scorers.content.",
}
"""Beginnings of names in a ``state_dict``."""

SCORERS = {
    "history_bias": ("seen", "missrec_pl.nn.scorers.SeenItems"),
    "cooccurrence": ("cooccurrence", "missrec_pl.nn.scorers.Cooccurrence"),
    "content": ("content", "missrec_pl.nn.scorers.Content"),
}
"""Options of the model that are auxiliary scorers now: name and class."""

CLASS_PATHS = {
    **{
        f"missrec_pl.nn.{place}{name}": f"missrec_pl.nn.missrec.{name}"
        for place, names in {
            "": ("MISSRec", "MISSRecReleased", "ContextEncoder", "InterestEncoder", "IDOnly"),
            "ablations.": ("ContextEncoder", "InterestEncoder", "IDOnly"),
            "missrec_released.": ("MISSRecReleased",),
        }.items()
        for name in names
    },
    "missrec_pl.objectives.Objective": "missrec_pl.losses.Contrastive",
    "missrec_pl.objectives.settings.Objective": "missrec_pl.losses.Contrastive",
    "missrec_pl.modules.FinetuneModule": "missrec_pl.modules.TrainingModule",
    "missrec_pl.modules.PretrainModule": "missrec_pl.modules.TrainingModule",
    "missrec_pl.data.folders.domain_folders": "missrec_pl.data.sources.DomainFolders",
    "missrec_pl.data.folders.DomainFolders": "missrec_pl.data.sources.DomainFolders",
    "missrec_pl.data.folders.released_folders": "missrec_pl.data.sources.released_folders",
    "missrec_pl.data.synthetic.source.SyntheticDomains": "missrec_pl.data.synthetic.SyntheticDomains",
    "missrec_pl.data.paper_size.PaperSizeDomains": "missrec_pl.data.synthetic.paper_size.PaperSizeDomains",
    "missrec_pl.data.paper_size.source.PaperSizeDomains": "missrec_pl.data.synthetic.paper_size.PaperSizeDomains",
    "missrec_pl.callbacks.WarmupCosine": "missrec_pl.modules.schedules.WarmupCosine",
    **{
        f"missrec_pl.callbacks.interest_methods.{name}": f"missrec_pl.clustering.methods.{name}"
        for name in ("DPCKNN", "KMeans", "KMeansReleased", "RandomTokens", "NoInterests")
    },
}
"""Class paths that configs name."""

_DATA_MODULE = "missrec_pl.datamodules.DomainDataModule"
_HELPERS = ("departments", "phase_domains", "names", "first_domain", "num_domains")
_RENAMED = {"features.residency": "features.placement", "optim.score_term_lr": "optim.scorer_lr"}
_OLD_ADAPTERS = ["adapters", "fusion", "history_bias", "cooccurrence", "content", "id_embedding"]
_ADDED = {
    "matmul_precision": "highest",
    "compile": False,
    "trainer.accumulate_grad_batches": 1,
    "data.num_negatives": None,
    "data.prefetch_factor": 2,
    "data.num_folds": 10,
    "data.example": None,
    "data.eval_target": "first",
    "data.refit": False,
    "features.whitening": 0.0,
    "objective.eval_temperature": None,
    "optim.fused": None,
    "optim.scheduler": None,
    "optim.scorer_lr": 0.03,
    "optim.optimizer": None,
}
"""Options that earlier checkpoints do not know, at what their versions did."""


def current_class_path(name: str) -> str:
    """The class path that a stored one stands for in this version."""
    return CLASS_PATHS.get(name, name)


def renamed_tensors(state: Mapping[str, Any]) -> dict[str, Any]:
    """A ``state_dict`` under today's names; what has them already stays."""
    return {_renamed(name): tensor for name, tensor in state.items()}


def rename_weights(checkpoint: dict[str, Any]) -> None:
    """Bring the weights of a whole checkpoint under today's names, those of a weight average among them."""
    for part in ("state_dict", "current_model_state"):
        if part in checkpoint:
            checkpoint[part] = renamed_tensors(checkpoint[part])


def _renamed(name: str) -> str:
    for old, new in TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def comparable(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A stored config in today's form; what is no config of a run stays what it is."""
    try:
        return modernised(config)
    except (KeyError, TypeError, AttributeError, ValueError):
        return config


def modernised(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored config in today's form."""
    new: dict[str, Any] = _mapped(copy.deepcopy(dict(config)))
    if "_target_" not in new.get("data", {}):
        _convert(new)
    for flag, value in _ADDED.items():
        section, _, key = flag.rpartition(".")
        (new.setdefault(section, {}) if section else new).setdefault(key, value)
    for method in (new.get("interest", {}).get("method"), new.get("model", {}).get("interests")):
        if isinstance(method, dict) and str(method.get("_target_", "")).endswith(".DPCKNN"):
            method.setdefault("top_delta", "largest")
    return new


def missing_option(config: Mapping[str, Any]) -> str | None:
    """An option that configs of every version have and this one lacks."""
    for name in ("phase.name", "setting.name", "model._target_", "interest.method", "features", "data.source"):
        node: Any = config
        for key in name.split("."):
            if not isinstance(node, Mapping) or key not in node:
                return name
            node = node[key]
    return None


def _mapped(node: Any) -> Any:
    """The node with today's class paths."""
    if isinstance(node, dict):
        return {
            key: current_class_path(str(value)) if key == "_target_" else _mapped(value)
            for key, value in node.items()
        }
    return [_mapped(one) for one in node] if isinstance(node, list) else node


def _convert(config: dict[str, Any]) -> None:
    """From the form of version 0.1, where the data was loose values and scorers were options of the model."""
    for old, new in _RENAMED.items():
        (section, before), after = old.split("."), new.split(".")[1]
        if before in config.get(section, {}):
            config[section][after] = config[section].pop(before)
    model, phase = config["model"], config["phase"]["name"]
    chosen = {name: model.pop(name, "none") for name in SCORERS}
    learned = ("learned",) if model.get("compat") is True else ("learned", "${compat:learned,none}")
    config["scorers"] = {
        SCORERS[name][0]: {"_target_": SCORERS[name][1]} for name, value in chosen.items() if value in learned
    }
    model.pop("max_history", None)
    is_transductive = config["setting"]["name"] == "transductive"
    config["setting"]["item_ids"] = model["item_ids"] = is_transductive
    config["interest"]["_target_"] = "missrec_pl.nn.interests.InterestSettings"
    config["interest"].get("method", {}).pop("num_modalities", None)
    model["interests"] = config["interest"]
    callbacks = config.get("callbacks") or {}
    if rates := callbacks.pop("learning_rate", None):
        config.setdefault("optim", {})["scheduler"] = {**rates, "_partial_": True}
    if config.get("finetune", {}).get("from_ckpt") == _OLD_ADAPTERS:
        config["finetune"]["from_ckpt"] = "adapters"
    if callbacks.get("interest_refresh"):
        callbacks["interest_refresh"] = {
            "_target_": "missrec_pl.callbacks.InterestRefresh",
            "seed": config.get("seed", 0),
        }
    config["phase"].setdefault("module", {"_target_": "missrec_pl.modules.TrainingModule"})
    if phase == "pretrain":
        config["phase"]["module"]["views"] = True
    _convert_data(config)


def _convert_data(config: dict[str, Any]) -> None:
    data, is_pretraining = config["data"], config["phase"]["name"] == "pretrain"
    if not is_pretraining and data.get("candidates") == "all":
        data["candidates"] = None  # which is what the loss declares
    if data.get("num_negatives") == 8192:
        data["num_negatives"] = None
    for helper in _HELPERS:
        data.pop(helper, None)
    data["num_folds"] = 0 if is_pretraining else data.pop("user_folds", 10)
    data.pop("user_folds", None)
    features = config["features"]
    data |= {
        "_target_": _DATA_MODULE,
        "placement": features["placement"],
        "dtype": features["dtype"],
        "whitening": features.get("whitening", 0.0),
        "seed": config.get("seed", 0),
    }


FLAGS = {
    **_RENAMED,
    "data.user_folds": "data.num_folds",
    "callbacks.learning_rate.warmup": "optim.scheduler.warmup",
    "callbacks.learning_rate": "optim.scheduler",
    **{
        f"data.{old}.{phase}": f"data.by_phase.{phase}{new}"
        for phase in ("pretrain", "finetune", "baselines")
        for old, new in {
            "phase_domains": "",
            "departments": "",
            "first_domain": ".first",
            "num_domains": ".count",
        }.items()
    },
}
"""Flags of the command line that have another name."""
_COMPAT = {"true": "missrec_compat", "false": "missrec_released"}


def modern_override(word: str) -> list[str] | None:
    """What an override of the command line is today, sweeps (``a,b``) included; None where it is what it was."""
    flag, _, value = word.partition("=")
    name = flag.lstrip("+")
    choices = value.split(",")
    if name in FLAGS:
        return [f"{flag.removesuffix(name)}{FLAGS[name]}={value}"]
    if name.removeprefix("model.") in SCORERS and name.startswith("model."):
        scorer, target = SCORERS[name.removeprefix("model.")]
        words = {"learned": f"{{_target_:{target}}}", "none": "null"}
        return [f"++scorers.{scorer}=" + ",".join(words.get(one, one) for one in choices)]
    if name == "model.compat" and "true" in choices and set(choices) <= _COMPAT.keys():
        return ["model=" + ",".join(_COMPAT[one] for one in choices)]
    return None
