"""Mistakes of a config, all found before anything is built or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from missrec_pl.checkpoints.files import OWN
from missrec_pl.config.compat import compat_mistakes
from missrec_pl.config.launched import launch_mistakes
from missrec_pl.config.targets import has_argument, in_use, nameless_parts, target_mistakes, walk
from missrec_pl.config.trainer_options import SET_BY_THE_PROGRAM, trainer_mistakes
from missrec_pl.config.values import COUNT, choice_mistakes, range_mistakes, value_of
from missrec_pl.config.wandb_key import remote_mistakes, wandb_mistakes
from missrec_pl.errors import ConfigError
from missrec_pl.system.compilation import CUDA_GRAPHS
from missrec_pl.system.processes import started_by_others

# Arguments that the program passes to what the config names.
SUPPLIED = {
    "model": {"data"},
    "phase.module": {
        *("model", "loss", "optimizer", "scheduler", "scorers", "scorer_lr", "data"),
        *("ks", "mask_history", "compat_metrics"),
    },
    "trainer": {*SET_BY_THE_PROGRAM, "plugins"},
}


def validate_config(cfg: DictConfig) -> None:
    """Refuse a config whose values cannot work, by themselves or together.

    Raises:
        ConfigError: one line per mistake, each naming the flag.
    """
    mistakes = [message for check in _CHECKS for message in check(cfg)]
    if mistakes:
        # A value of a wrong kind is found by its range and by its signature: say it once.
        first_of_flag = {message.partition("=")[0]: message for message in reversed(mistakes)}
        raise ConfigError("\n".join(message for message in mistakes if message in first_of_flag.values()))


def _missing(cfg: DictConfig) -> list[str]:
    found, reasons = [], set()
    for flag, node in walk(cfg):
        if node._is_missing():
            found.append(f"{flag} is missing: give {flag}=<value>.")
        elif node._is_interpolation():
            try:
                node._dereference_node()
            except InterpolationKeyError as error:
                reason = str(error).splitlines()[0]
                if reason not in reasons:  # what refers to a value that refers to nothing is no second mistake
                    found.append(f"{flag}: {reason.removesuffix('.')}.")
                reasons.add(reason)
            except (OmegaConfBaseException, ValueError):
                continue  # refers to something missing, or to what is known once the run has started
    return found


def _phase_and_setting(cfg: DictConfig) -> list[str]:
    if cfg.phase.name != "pretrain":
        return []
    found = []
    if cfg.setting.name == "transductive":
        found.append("setting=transductive: pre-training knows no item IDs; use setting=inductive.")
    if (candidates := value_of(cfg, "data.candidates")) in ("all", "sampled") and value_of(
        cfg, "phase.module.views"
    ):
        found.append(
            f"data.candidates={candidates}: pre-training contrasts within the batch; use data.candidates=in_batch."
        )
    return found


def _start(cfg: DictConfig) -> list[str]:
    found, ckpt = [], value_of(cfg, "ckpt")
    if ckpt is not None and cfg.resume is not None and cfg.resume != OWN:
        found.append(
            "ckpt and resume are both given: ckpt starts a new run from weights, resume continues a run; "
            "give one of them, or resume=last."
        )
    if cfg.resume is not None and cfg.resume != OWN and not Path(cfg.resume).exists():
        found.append(
            f"resume={cfg.resume}: there is no such file; give a run's checkpoints/last.ckpt, its folder, or last."
        )
    if cfg.resume == OWN and _has_new_folder():
        found.append(
            "resume=last: continues the run in hydra.run.dir (hydra.sweep.dir with -m), which is a new folder: "
            "say hydra.run.dir=<the run's folder>."
        )
    if ckpt is not None and str(ckpt).startswith("wandb:"):
        found += remote_mistakes(str(ckpt))
    elif ckpt is not None and not Path(ckpt).is_file():
        found.append(f"ckpt={ckpt}: there is no such file; give a run's checkpoints/best.ckpt.")
    return found


def _has_new_folder() -> bool:
    """Whether Hydra gives the run a dated folder of its own."""
    if not HydraConfig.initialized():
        return False
    flag = "hydra.sweep.dir=" if HydraConfig.get().mode == RunMode.MULTIRUN else "hydra.run.dir="
    return not any(override.startswith(flag) for override in HydraConfig.get().overrides.hydra)


def _together(cfg: DictConfig) -> list[str]:
    found = []
    size, heads = value_of(cfg, "model.hidden_size"), value_of(cfg, "model.num_heads")
    if COUNT.holds(size) and COUNT.holds(heads) and size % heads:
        found.append(f"model.hidden_size={size}: must be a multiple of model.num_heads={heads}.")
    if value_of(cfg, "data.candidates") == "in_batch" and value_of(cfg, "data.batch_size") == 1:
        found.append("data.batch_size=1: in-batch candidates need at least two rows.")
    if value_of(cfg, "data.split") == "train_only" and cfg.test:
        found.append("test=true: data.split=train_only leaves nobody to test; set test=false.")
    found += [*_monitors(cfg), *_last_checkpoint(cfg)]
    if str(value_of(cfg, "trainer.accelerator")) in ("gpu", "cuda") and not torch.accelerator.is_available():
        found.append(f"trainer.accelerator={cfg.trainer.accelerator}: no GPU is visible here; use trainer=cpu.")
    names = value_of(cfg, "baselines.names")
    if names is not None and not isinstance(names, ListConfig):
        found.append(
            f"baselines.names={names}: must be a list or null, e.g. baselines.names=[popularity,hybrid_knn]."
        )
    found += _speed(cfg)
    if value_of(cfg, "recommend.k") is not None and cfg.phase.name == "baselines":
        found.append("recommend.k: phase=baselines trains no network to recommend; set recommend.k=null.")
    if not isinstance(value_of(cfg, "recommend.with_seen"), bool | type(None)):
        found.append(f"recommend.with_seen={cfg.recommend.with_seen}: must be true or false.")
    tags = value_of(cfg, "tags")
    if not isinstance(tags, ListConfig | type(None)):
        found.append(f"tags={tags}: must be a list, e.g. tags=[baseline,paper].")
    modalities = value_of(cfg, "data.modalities")
    if modalities is not None and (isinstance(modalities, str) or not modalities):
        found.append(f"data.modalities={modalities}: must be a list or null, e.g. data.modalities=[text,image].")
    return found


def _monitors(cfg: DictConfig) -> list[str]:
    """Scores that callbacks and sweeps wait for and validation does not measure."""
    found: list[str] = []
    ks = value_of(cfg, "metrics.ks")
    measured = {f"val/{name}@{k}" for name in ("recall", "ndcg") for k in ks or ()} | {"val/mrr"}
    if cfg.phase.name == "baselines" or not ks:
        return []
    callbacks = [f"callbacks.{name}" for name in in_use(cfg, "callbacks")]
    for flag in ("optimized_metric", *(f"{callback}.monitor" for callback in callbacks)):
        score = str(value_of(cfg, flag))
        is_chosen = flag == "optimized_metric" and not score.startswith("test/")  # those `_sweep` refuses
        has_to_be_measured = is_chosen or score.startswith("val/")
        if has_to_be_measured and score not in measured and not any(score in line for line in found):
            found.append(
                f"{flag}={score}: is not measured with metrics.ks={list(ks)}; choose one of "
                f"{', '.join(sorted(measured))} (optimized_metric sets it for early stopping and the best "
                "checkpoint, too)."
            )
    for callback in callbacks:
        monitor, mode = (str(value_of(cfg, f"{callback}.{name}")) for name in ("monitor", "mode"))
        better = "min" if monitor.startswith("train/") else "max" if monitor.startswith("val/") else mode
        if mode in ("min", "max") and mode != better:
            what = "a loss, the less" if better == "min" else "a score, the more"
            found.append(f"{callback}.mode={mode}: {monitor} is {what} the better; say {callback}.mode={better}.")
    return found


def _last_checkpoint(cfg: DictConfig) -> list[str]:
    """A checkpoint that resume=last would not find."""
    place, folder = value_of(cfg, "callbacks.last_checkpoint.dirpath"), value_of(cfg, "paths.output_dir")
    if place is None or folder is None or Path(place).absolute() == Path(folder).absolute() / "checkpoints":
        return []
    return [
        f"callbacks.last_checkpoint.dirpath={place}: resume=last looks in the run's own checkpoints; move the run "
        "with hydra.run.dir."
    ]


def _speed(cfg: DictConfig) -> list[str]:
    found = []
    if not isinstance(value_of(cfg, "compile"), bool) and cfg.compile != CUDA_GRAPHS:
        found.append(f"compile={cfg.compile}: must be true or false, or {CUDA_GRAPHS}.")
    fused = value_of(cfg, "optim.fused")
    if not (fused is None or isinstance(fused, bool)):
        found.append(f"optim.fused={fused}: must be true, false or null.")
    target = str(value_of(cfg, "optim.optimizer._target_"))
    if fused is True and not has_argument(target, "fused"):
        found.append(f"optim.fused=true: {target} has no fused form; use optim.fused=null.")
    return found


def _sweep(cfg: DictConfig) -> list[str]:
    if str(value_of(cfg, "optimized_metric")).startswith("test/"):
        return [f"optimized_metric={cfg.optimized_metric}: sweeps may not see the test split; use a val/ metric."]
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return []
    if "Basic" in str(HydraConfig.get().launcher) and started_by_others():
        return [
            "-m: torchrun or srun has started several processes, and each would run the whole sweep; leave the "
            "launcher away (each job then starts its own processes), or use hydra/launcher=submitit_slurm."
        ]
    return []


def _signatures(cfg: DictConfig) -> list[str]:
    return target_mistakes(cfg, {**SUPPLIED, **{f"scorers.{name}": {"data"} for name in in_use(cfg, "scorers")}})


_CHECKS: tuple[Callable[[DictConfig], list[str]], ...] = (
    _missing,
    choice_mistakes,
    range_mistakes,
    nameless_parts,
    _phase_and_setting,
    _start,
    _together,
    trainer_mistakes,
    compat_mistakes,
    wandb_mistakes,
    launch_mistakes,
    _sweep,
    _signatures,
)
