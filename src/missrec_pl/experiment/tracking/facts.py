"""What a run is, before it starts: for people, for filters, and for whoever wants to repeat it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from torch import nn

from missrec_pl.config.shared import flat_config, shared, shared_config
from missrec_pl.datamodules import DomainDataModule
from missrec_pl.experiment import building
from missrec_pl.experiment.results import command, versions
from missrec_pl.loggers.facts import RunFacts

_CHANGED = "+changes"  # ends the commit of a changed checkout


def run_facts(
    cfg: DictConfig, datamodule: DomainDataModule, module: nn.Module | None = None, *, is_eval: bool = False
) -> RunFacts:
    """The facts of a run.

    Args:
        cfg: its config; of an evaluation, that of the checkpoint's run with what the evaluation changes.
        datamodule: the data, set up.
        module: what trains or is tested; None for the baselines.
        is_eval: whether it is an evaluation.
    """
    config = shared_config(cfg)
    data, seed = config["data"]["name"], config["seed"]
    job_type = "eval" if is_eval else str(cfg.phase.name)
    said = command()["overrides"]
    model = None if module is None else model_name(cfg)
    setting = cfg.setting.name if model is not None and job_type != "pretrain" else None
    parts = [part for part in (data, model, setting) if part is not None]
    start = None if cfg.ckpt is None else Path(cfg.ckpt)
    init = "scratch" if start is None else "pretrained"
    sweep, job = _sweep()
    told = {
        "phase": job_type,
        "data": data,
        "model": model,
        "setting": setting,
        "seed": seed,
        "init": init,
        "experiment": command()["experiment"],
        "command": " ".join(["python", "eval.py" if is_eval else "train.py", *said]),
        "overrides": said,
        **_of_data(datamodule),
        **_of_program(),
        **({} if module is None else {"num_params": building.count_parameters(module)["num_params"]}),
    }
    name = [job_type, *parts, f"seed{seed}", *([init] if init == "pretrained" and not is_eval else []), *job]
    return RunFacts(
        job_type=job_type,
        name=_readable(name),
        group=_readable([*sweep, *parts]),
        tags=tuple(map(str, config.get("tags") or ())),
        notes=config.get("notes"),
        config={**flat_config(config), **shared(told)},
        data=building.fingerprints(datamodule),
        optimized=str(cfg.optimized_metric),
        folder=Path(cfg.paths.output_dir),
        start=start,
    )


def model_name(cfg: DictConfig) -> str:
    """The choice of the model, such as ``missrec_tuned``; its class where nobody noted the choice."""
    said = [str(word).lstrip("+") for word in OmegaConf.select(cfg, "command.overrides") or ()]
    chosen = [word.removeprefix("model=") for word in said if word.startswith("model=")]
    known = chosen[-1] if chosen else OmegaConf.select(cfg, "command.experiment_model")
    return str(known or str(cfg.model["_target_"]).rpartition(".")[2])


def _sweep() -> tuple[list[str], list[str]]:
    """What the sweep and the job in it are called, in a list each; empty outside of a sweep."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return [], []
    hydra = HydraConfig.get()
    return [Path(hydra.sweep.dir).name], [f"job{hydra.job.num}"]


def _of_data(datamodule: DomainDataModule) -> dict[str, Any]:
    catalogue = datamodule.catalogue
    return {
        "domains": [domain.name for domain in catalogue.domains],
        "num_users": sum(domain.num_users for domain in catalogue.domains),
        "num_items": catalogue.num_items,
        "modalities": list(catalogue.modalities),
        **{f"encoders.{name}": list(by) for name, by in building.encoders(datamodule).items()},
        **{f"data_fingerprint.{name}": print_ for name, print_ in building.fingerprints(datamodule).items()},
    }


def _of_program() -> dict[str, Any]:
    found = versions()
    commit = found.pop("commit", None)
    return {
        **{f"versions.{name}": version for name, version in found.items()},
        "git.commit": None if commit is None else commit.removesuffix(_CHANGED),
        "git.changed": None if commit is None else commit.endswith(_CHANGED),
    }


def _readable(parts: list[str]) -> str:
    """Words joined by dashes, of the letters that names of W&B's artifacts may have; paths end with their name."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.]+", "-", str(shared(part))).strip("-") for part in parts)[:120]
