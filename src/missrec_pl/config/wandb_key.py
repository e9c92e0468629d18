"""W&B starts online with a key or not at all: no prompt in the middle of a job, no run that nobody asked for."""

from __future__ import annotations

import re

from omegaconf import DictConfig

from missrec_pl.config.targets import in_use
from missrec_pl.loggers.wandb_server import has_key, is_off

REMOTE = re.compile(r"wandb:([\w.-]+/[\w.-]+/[\w.-]+:[\w.-]+)")
"""A checkpoint that W&B keeps."""


def remote_mistakes(ckpt: str) -> list[str]:
    """One line if ``ckpt=wandb:...`` is written otherwise, or cannot be fetched."""
    if not REMOTE.fullmatch(ckpt):
        return [f"ckpt={ckpt}: is written wandb:ENTITY/PROJECT/NAME:ALIAS."]
    if is_off() and not re.search(r":v\d+$", ckpt):
        return [
            f"ckpt={ckpt}: WANDB_MODE is offline, and only the server knows an alias; say :vN if it was fetched."
        ]
    return []


def wandb_mistakes(cfg: DictConfig) -> list[str]:
    """One line if ``logger=wandb`` would go online without a key."""
    wanted = [node for node in in_use(cfg, "logger").values() if "wandb" in str(node.get("_target_")).lower()]
    if not wanted or is_off():
        return []
    if all(node.get("offline") or (node.get("mode") and is_off(str(node.mode))) for node in wanted) or has_key():
        return []
    return [
        "logger=wandb: there is no W&B key (WANDB_API_KEY, or `wandb login`); give one, or say WANDB_MODE=offline."
    ]
