"""Options of Lightning's Trainer: which the program sets itself, and which leave a run without what it needs."""

from __future__ import annotations

import re
import sys

import torch
from omegaconf import DictConfig, ListConfig, OmegaConf

from missrec_pl.config.targets import in_use
from missrec_pl.config.values import value_of

# What says it instead.
SET_BY_THE_PROGRAM = {
    "callbacks": "add it to the group, +callbacks.mine._target_=CLASS",
    "logger": "choose with logger=csv, wandb, tensorboard, many or logger=[]",
    "enable_checkpointing": "say callbacks.model_checkpoint=null callbacks.last_checkpoint=null",
    "enable_progress_bar": "say callbacks.progress=null",
    "use_distributed_sampler": "the data module shares the rows out exactly",
    "reload_dataloaders_every_n_epochs": "the data module draws every epoch anew",
    "enable_autolog_hparams": "choose with logger=[] whether the config is logged",
    "barebones": "say callbacks=none logger=[] test=false",
    "limit_predict_batches": "nothing is predicted here; limit_test_batches limits the test",
    "model_registry": "checkpoints stay in the run's folder",
}
_KEEPS_BEST = "model_checkpoint"
_STARTED_BY_LIGHTNING = re.compile(r"^ddp_(spawn|fork|notebook)")


def trainer_mistakes(cfg: DictConfig) -> list[str]:
    """One line for each option of the trainer that would not do what it says."""
    if not isinstance(value_of(cfg, "trainer"), DictConfig):
        return []
    given = {str(name) for name, value in cfg.trainer.items_ex(resolve=False) if value is not None}
    found = [
        f"trainer.{name}={value_of(cfg, f'trainer.{name}')}: the program sets it itself; {instead}."
        for name, instead in SET_BY_THE_PROGRAM.items()
        if name in given
    ]
    if value_of(cfg, "phase.name") == "baselines":
        return found
    found += [*_absent(cfg), *_fused_and_clipped(cfg)]
    return found + _nothing_to_do(cfg) + _overfitting(cfg) + _unvalidated(cfg)


def _nothing_to_do(cfg: DictConfig) -> list[str]:
    found = []
    is_training, is_testing = value_of(cfg, "train") is not False, bool(value_of(cfg, "test"))
    if is_training and value_of(cfg, "trainer.limit_train_batches") == 0:
        found.append("trainer.limit_train_batches=0: nothing would train; say train=false ckpt=CHECKPOINT.")
    if is_testing and value_of(cfg, "trainer.limit_test_batches") == 0:
        found.append("trainer.limit_test_batches=0: nobody would be tested; say test=false.")
    if not is_training and value_of(cfg, "ckpt") is None:
        found.append("train=false: tests a checkpoint; give ckpt=CHECKPOINT.")
    if not is_training and not is_testing:
        found.append("train=false test=false: leaves nothing to do.")
    if not is_training and value_of(cfg, "resume") is not None:
        found.append("train=false: nothing is resumed; give ckpt instead of resume.")
    return found


def _overfitting(cfg: DictConfig) -> list[str]:
    count = value_of(cfg, "trainer.overfit_batches")
    if not count:
        return []
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        return [
            f"trainer.overfit_batches={count}: must be a number of batches; data.overfit_rows says it in rows."
        ]
    if value_of(cfg, "data.overfit_rows") is not None:
        return ["trainer.overfit_batches and data.overfit_rows say the same: give one of them."]
    return []


def fused_kernel(cfg: DictConfig) -> bool | None:
    """``optim.fused``; where scaled gradients are clipped no kernel may unscale them by itself."""
    fused: bool | None = value_of(cfg, "optim.fused")
    return False if _clips_scaled(cfg) else fused


def _clips_scaled(cfg: DictConfig) -> bool:
    is_scaled = value_of(cfg, "trainer.precision") == "16-mixed"
    return is_scaled and bool(value_of(cfg, "trainer.gradient_clip_val"))


def _fused_and_clipped(cfg: DictConfig) -> list[str]:
    if value_of(cfg, "optim.fused") is not True or not _clips_scaled(cfg):
        return []
    return [
        "optim.fused=true: a fused kernel unscales the gradients of trainer.precision=16-mixed itself, so that "
        "trainer.gradient_clip_val cannot clip them before; say optim.fused=null."
    ]


def _absent(cfg: DictConfig) -> list[str]:
    """What the devices of this machine do not have."""
    if not torch.cuda.is_available() or str(value_of(cfg, "trainer.accelerator")) not in ("auto", "gpu", "cuda"):
        return []
    found, there = [], torch.cuda.device_count()
    devices = value_of(cfg, "trainer.devices")
    named = devices if isinstance(devices, ListConfig) else str(devices).split(",")
    numbers = [int(one) for one in named if str(one).isdigit()]
    wanted = (
        numbers[0] if len(numbers) == 1 and not isinstance(devices, ListConfig) else 1 + max(numbers, default=0)
    )
    if wanted > there and numbers:
        found.append(
            f"trainer.devices={devices}: GPUs that are here: {there}; say trainer.devices=auto for all of them."
        )
    precision = str(value_of(cfg, "trainer.precision"))
    if precision.startswith("bf16") and not torch.cuda.is_bf16_supported(including_emulation=False):
        found.append(
            f"trainer.precision={precision}: {torch.cuda.get_device_name()} has no bfloat16; say "
            "trainer.precision=16-mixed or 32-true."
        )
    return found


def why_unvalidated(cfg: DictConfig) -> str | None:
    """The flag that leaves a run without validation; None where it validates."""
    if value_of(cfg, "data.split") == "train_only":
        return "data.split=train_only"
    if value_of(cfg, "data.refit"):
        return "data.refit=true"
    if value_of(cfg, "trainer.fast_dev_run"):
        return None
    if value_of(cfg, "trainer.limit_val_batches") == 0:
        return "trainer.limit_val_batches=0"
    every, epochs = value_of(cfg, "trainer.check_val_every_n_epoch"), value_of(cfg, "trainer.max_epochs")
    if isinstance(every, int) and isinstance(epochs, int) and 0 < epochs < every:
        return f"trainer.check_val_every_n_epoch={every} with trainer.max_epochs={epochs}"
    return None


def _unvalidated(cfg: DictConfig) -> list[str]:
    reason = why_unvalidated(cfg)
    watching = [
        name
        for name in in_use(cfg, "callbacks")
        if str(value_of(cfg, f"callbacks.{name}.monitor") or "").startswith("val/")
    ]
    if reason is None or not watching or value_of(cfg, "train") is False:
        return []
    if value_of(cfg, "data.refit") and watching == [_KEEPS_BEST]:
        return []  # the last epoch is kept
    if value_of(cfg, "data.refit"):
        return [
            "callbacks: data.refit=true validates nobody, so the run has to know when it ends; add "
            "callbacks=annealed (or callbacks=no_validation) and trainer.max_epochs=<what validation chose>."
        ]
    return [
        f"callbacks: {', '.join(map(str, watching))} watch validation, but {reason} validates nobody; add "
        "callbacks=no_validation."
    ]


def settled_trainer(cfg: DictConfig) -> list[str]:
    """Say in the project's own words what an option means here, before anything reads it.

    Returns:
        A line for each option that was put in other words.
    """
    lines = []
    strategy = str(OmegaConf.select(cfg, "trainer.strategy"))
    if _STARTED_BY_LIGHTNING.match(strategy) and not hasattr(sys, "ps1"):
        cfg.trainer.strategy = _STARTED_BY_LIGHTNING.sub("ddp", strategy)
        lines.append(
            f"trainer.strategy={strategy}: processes are started by command, as {cfg.trainer.strategy} does"
        )
    if value_of(cfg, "data.refit") and value_of(cfg, f"callbacks.{_KEEPS_BEST}.monitor") is not None:
        cfg.callbacks[_KEEPS_BEST].monitor = None
        lines.append("data.refit=true: validation targets train; the last epoch is kept")
    if count := OmegaConf.select(cfg, "trainer.overfit_batches"):
        cfg.data.overfit_rows, cfg.trainer.overfit_batches = count * cfg.data.batch_size, 0.0
        lines.append(f"trainer.overfit_batches={count}: data.overfit_rows={cfg.data.overfit_rows}")
    return lines
