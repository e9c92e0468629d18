"""``ckpt=wandb:ENTITY/PROJECT/NAME:ALIAS``: a checkpoint that W&B keeps, fetched once, its checksum compared."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig

from missrec_pl.config.shared import shared
from missrec_pl.config.stored_values import escaped
from missrec_pl.config.wandb_key import remote_mistakes
from missrec_pl.errors import CheckpointError, ConfigError
from missrec_pl.loggers.wandb_artifacts import CHECKPOINT, NOTE

log = logging.getLogger(__name__)


def settle_ckpt(cfg: DictConfig) -> None:
    """Put the path in the cache in the place of a ``ckpt`` that W&B keeps; a file stays.

    Raises:
        ConfigError: it is written otherwise, or cannot be asked for.
        CheckpointError: W&B has no such artifact, or sent another file than was kept.
    """
    if not str(cfg.ckpt).startswith("wandb:"):
        return
    if mistakes := remote_mistakes(str(cfg.ckpt)):
        raise ConfigError(mistakes[0])
    cfg.ckpt = escaped(str(fetched(str(cfg.ckpt), Path(cfg.paths.cache_dir or "data/cache"))))


def fetched(ckpt: str, cache_dir: Path) -> Path:
    """Where a checkpoint that W&B keeps lies in the cache.

    Args:
        ckpt: ``wandb:ENTITY/PROJECT/NAME:ALIAS``.
        cache_dir: keeps what was fetched, by version: an alias may move.

    Raises:
        CheckpointError: see :func:`settle_ckpt`.
    """
    name, root = ckpt.removeprefix("wandb:"), cache_dir.resolve() / "wandb"
    if re.search(r":v\d+$", name) and (kept := _folder(root, name) / CHECKPOINT).is_file():
        return kept
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / ".fetch.lock"):  # one process fetches, the others wait
        return _fetch(name, root, ckpt)


def _fetch(name: str, root: Path, flag: str) -> Path:
    import wandb

    try:
        artifact = wandb.Api().artifact(name, type="model")
        version = str(artifact.qualified_name)
        folder = _folder(root, version)
        if (folder / CHECKPOINT).is_file():
            return folder / CHECKPOINT
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        artifact.download(root=str(part))
    except Exception as error:  # whatever W&B raises: no key, no network, no such artifact
        reason = shared((str(error).splitlines() or [type(error).__name__])[0][:200])
        raise CheckpointError(f"ckpt={flag} cannot be fetched: {reason}") from error
    _verify(part / CHECKPOINT, dict(artifact.metadata or {}), flag)
    note = {"artifacts": {"best": version}}
    (part / NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")
    part.replace(folder)
    log.info("ckpt: %s is in %s", version, folder)
    return folder / CHECKPOINT


def _verify(file: Path, metadata: dict[str, Any], flag: str) -> None:
    if not file.is_file():
        raise CheckpointError(f"ckpt={flag} holds no {CHECKPOINT}: it was not logged by this project.")
    wanted = metadata.get("sha256")
    if wanted is not None and hashlib.sha256(file.read_bytes()).hexdigest() != wanted:
        raise CheckpointError(f"ckpt={flag}: what arrived is not what was kept (sha256 differs); fetch it again.")


def _folder(root: Path, version: str) -> Path:
    return root / re.sub(r"[^\w.-]+", "-", version)
