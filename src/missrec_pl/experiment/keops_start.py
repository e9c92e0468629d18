"""`interest.method.backend=keops`, settled before anything is built: refused, or started again with a library.

Nothing here imports torch.
"""

from __future__ import annotations

import os
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from missrec_pl.errors import ConfigError
from missrec_pl.system import keops_trial

FLAG = "interest.method.backend"
_WIDTH = 64  # of networks that do not say theirs


def settle_keops(cfg: DictConfig, *, may_restart: bool = True) -> None:
    """Try KeOps in a child process if the config asks for it by name.

    Args:
        cfg: the composed config.
        may_restart: whether the program may start itself again where KeOps needs a library loaded first.

    Raises:
        ConfigError: no child process could use it.
    """
    if _value(cfg, FLAG) != "keops" or _value(cfg, "phase.name") == "baselines":
        return
    width, cache = _value(cfg, "model.hidden_size"), _value(cfg, "paths.cache_dir")
    folder = Path(str(cache)) if cache else None
    found = keops_trial.verdict(_device(cfg), width if isinstance(width, int) and width > 0 else _WIDTH, folder)
    is_loaded = found.preload in os.environ.get("LD_PRELOAD", "")
    if found.works and may_restart and not is_loaded:
        keops_trial.start_again_with(found.preload)
    if problem := keops_trial.usable(found):
        raise ConfigError(f"{FLAG}=keops: {problem}; or say {FLAG}=tiled.")


def _device(cfg: DictConfig) -> str:
    accelerator = str(_value(cfg, "trainer.accelerator"))
    return "cuda" if accelerator in ("auto", "gpu", "cuda") and keops_trial.has_nvidia_device() else "cpu"


def _value(cfg: DictConfig, name: str) -> object:
    try:
        return OmegaConf.select(cfg, name)
    except OmegaConfBaseException:  # found and told by the validation
        return None
